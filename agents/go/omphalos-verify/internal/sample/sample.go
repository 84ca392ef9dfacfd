// Package sample makes small runs for tests.
package sample

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/merkle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

// Record describes a file.
func Record(path, content string) manifest.File {
	sum := sha256.Sum256([]byte(content))
	return manifest.File{
		Path: path, Role: "x", MediaType: "text/plain", Size: uint64(len(content)),
		SHA256: hex.EncodeToString(sum[:]), BLAKE3: ids.Blob([]byte(content)).String(),
	}
}

// Run returns the manifest of a good run of these files with this method.
func Run(files map[string]string, method string) *manifest.Manifest {
	m := &manifest.Manifest{
		Name: "t", Created: "2026-11-22T10:00:00Z", ToolName: "t", ToolVersion: "1",
		Plan:        manifest.Plan{Method: method},
		Environment: manifest.Environment{Python: "x", Platform: "x", Locale: "x", Timezone: "x", Packages: "{}"},
	}
	var head merkle.Head
	var all []tree.File
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f := Record(path, files[path])
		m.Artifacts = append(m.Artifacts, f)
		id, _ := ids.Parse(f.BLAKE3)
		head.Add(merkle.LeafHash(Leaf(f)))
		all = append(all, tree.File{Path: path, Size: f.Size, ID: id})
	}
	root := head.Root()
	m.MerkleRoot, m.Tree = hex.EncodeToString(root[:]), tree.Root(all).String()
	m.Plan.Config = m.Artifacts[0].BLAKE3
	m.Plan.ID = m.PlanID()
	m.RunID = m.Name + "-" + m.Plan.ID[:12]
	return m
}

// Leaf returns the leaf of a file in the tree of a run.
func Leaf(f manifest.File) []byte {
	sha, _ := hex.DecodeString(f.SHA256)
	blake, _ := hex.DecodeString(f.BLAKE3)
	return merkle.Leaf(nil, f.Path, f.Size, sha, blake)
}

// Text returns the one spelling of a manifest.
func Text(m *manifest.Manifest) string {
	return spelled(document(m), "\n") + "\n"
}
