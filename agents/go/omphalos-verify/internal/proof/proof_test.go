package proof

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/merkle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/sample"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

// good returns the proof of a/b in a run of two files, its root, and the file's content.
func good() (text, root, content string) {
	m := sample.Run(map[string]string{"a/b": "abc", "c": "x"}, strings.Repeat("0", 64))
	f := m.Artifacts[0]
	sibling := merkle.LeafHash(sample.Leaf(m.Artifacts[1]))
	text = "{\n  \"artifact\": {\n    \"blake3\": \"" + f.BLAKE3 + "\",\n    \"path\": \"a/b\",\n    \"sha256\": \"" + f.SHA256 +
		"\",\n    \"size\": 3\n  },\n  \"envelope\": null,\n  \"hashes\": [\n    \"" + hex.EncodeToString(sibling[:]) +
		"\"\n  ],\n  \"index\": 0,\n  \"merkle_root\": \"" + m.MerkleRoot + "\",\n  \"run_id\": \"" + m.RunID +
		"\",\n  \"schema\": \"omphalos.proof/1\",\n  \"tree_size\": 2\n}\n"
	return text, m.MerkleRoot, "abc"
}

func judge(t *testing.T, proof, file, root string) string {
	t.Helper()
	v, err := Verify(proof, file, root, nil)
	if err != nil {
		return "nothing"
	}
	out := []string{v.Word()}
	for _, f := range v.Findings {
		out = append(out, string(f.ID)+" "+f.Path)
	}
	return strings.Join(append(out, v.Unreadable...), "|")
}

// Each rule about a proof has its finding, and the file and the root are judged beside it.
func TestRules(t *testing.T) {
	text, root, content := good()
	folder := t.TempDir()
	proof, file := filepath.Join(folder, "p"), filepath.Join(folder, "f")
	write := func(path, content string) {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ old, new, file, root, want string }{
		"good":         {"", "", content, root, "verified"},
		"no root":      {"", "", content, "", "incomplete"},
		"other root":   {"", "", content, strings.Repeat("0", 64), "refused|rootMismatch proof"},
		"flipped":      {"", "", "abd", root, "refused|hashMismatch file"},
		"longer":       {"", "", "abcd", root, "refused|sizeMismatch file"},
		"other index":  {`"index": 0`, `"index": 1`, content, root, "refused|inclusionInvalid proof"},
		"beyond":       {`"index": 0`, `"index": 2`, content, root, "refused|inclusionInvalid proof"},
		"other size":   {`"tree_size": 2`, `"tree_size": 1`, content, root, "refused|inclusionInvalid proof"},
		"bad path":     {`"a/b"`, `"manifest.json"`, content, root, "refused|inclusionInvalid proof|pathOwnDir manifest.json"},
		"warned path":  {`"a/b"`, `"a/b` + "\u200b" + `"`, content, root, "refused|inclusionInvalid proof|pathInvisible a/b\u200b"},
		"key twice":    {`"index": 0`, "\"index\": 0,\n  \"index\": 0", content, root, "refused|jsonDuplicateKey proof"},
		"version":      {`proof/1`, `proof/2`, content, root, "refused|manifestVersion proof"},
		"unknown":      {`"size": 3`, "\"size\": 3,\n    \"x\": 1", content, root, "refused|jsonUnknownField proof"},
		"case":         {`"index"`, `"Index"`, content, root, "refused|jsonKeyCase proof"},
		"missing":      {"  \"envelope\": null,\n", "", content, root, "refused|proofMalformed proof"},
		"hash short":   {`"hashes": [`, "\"hashes\": [\n    \"ab\",", content, root, "refused|proofMalformed proof"},
		"many hashes":  {`"hashes": [`, "\"hashes\": [" + strings.Repeat("\n    \""+root+"\",", 64), content, root, "refused|proofMalformed proof"},
		"spelling":     {`"index": 0`, `"index":  0`, content, root, "refused|manifestNotCanonical proof"},
		"large":        {"\n}\n", strings.Repeat(" ", maxBytes) + "\n}\n", content, root, "refused|jsonTooLarge proof"},
		"run_id empty": {`"run_id": "t-`, `"run_id": "", "x": "`, content, root, "refused|jsonUnknownField proof"},
	} {
		write(proof, strings.Replace(text, c.old, c.new, 1))
		write(file, c.file)
		if got := judge(t, proof, file, c.root); got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// What stands in the place of the two files is told as what it is; where either is nothing there is no verdict.
func TestPlaces(t *testing.T) {
	text, root, content := good()
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	for _, err := range []error{
		os.WriteFile(at("p"), []byte(text), 0o644), os.WriteFile(at("f"), []byte(content), 0o644),
		os.Symlink("p", at("l")), syscall.Mkfifo(at("pipe"), 0o644), os.Mkdir(at("d"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for names, want := range map[[2]string]string{
		{"p", "f"}: "verified", {"l", "f"}: "refused|symlinkEntry proof", {"p", "l"}: "refused|symlinkEntry file",
		{"pipe", "f"}: "refused|specialFile proof", {"p", "pipe"}: "refused|specialFile file", {"d", "f"}: "nothing",
		{"p", "d"}: "nothing", {"l", "none"}: "nothing", {"none", "f"}: "nothing", {"p/x", "f"}: "nothing",
	} {
		if got := judge(t, at(names[0]), at(names[1]), root); got != want {
			t.Errorf("%v: %s, not %s", names, got, want)
		}
	}
	if got := judge(t, "", at("f"), root); got != "nothing" {
		t.Errorf("no name: %s", got)
	}
}

// No text makes the reader fall over; what it takes is spelled in one way, and has bounded parts.
func FuzzDecode(f *testing.F) {
	text, _, _ := good()
	f.Add(text)
	f.Add(strings.Replace(text, "null", `"{}"`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		said := 0
		p := Decode(text, func(findings.ID, string) { said++ })
		if (p == nil) != (said > 0) {
			t.Fatalf("%d findings, and a proof: %v", said, p != nil)
		}
		if p != nil && (!strictjson.Spelled(text) || len(p.Hashes) > maxHashes || len(p.MerkleRoot) != 64) {
			t.Error("it is taken")
		}
		if p != nil {
			p.Holds()
		}
	})
}
