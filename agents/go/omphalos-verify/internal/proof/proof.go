// Package proof judges the proof that one file is an artifact of a run (docs/format/proof.md).
package proof

import (
	"encoding/hex"

	"golang.org/x/sys/unix"

	"omphalos.invalid/agents/go/omphalos-verify/internal/attest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/files"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/merkle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/report"
	"omphalos.invalid/agents/go/omphalos-verify/internal/schema"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
	"omphalos.invalid/agents/go/omphalos-verify/internal/target"
)

const (
	maxBytes   = 1 << 21
	maxHashes  = 64
	schemaName = "omphalos.proof/1"

	atProof = "proof" // the paths of findings
	atFile  = "file"
)

// Proof is the content of a proof.
type Proof struct {
	RunID           string
	Path            string
	Size            uint64
	SHA256, BLAKE3  string
	Index, TreeSize uint64
	Hashes          []merkle.Hash
	MerkleRoot      string
	Envelope        *string
}

// Verify judges a proof and the file it is about. Root is what is given by --root, or empty.
func Verify(proof, file, root string, keys *attest.Keys) (*report.Verdict, error) {
	proofKind, fileKind := target.Look(proof), target.Look(file)
	if proofKind == target.Nothing || fileKind == target.Nothing {
		return nil, target.ErrNothing
	}
	r := report.New(target.Subject(proof))
	r.Verdict.Keys = keys.IDs()
	r.Verdict.NoRoot = root == "" && !keys.Given()
	p := read(r, proof, proofKind)
	if p == nil {
		return r.Close(), nil
	}
	r.Verdict.RunID = &p.RunID
	say := func(id findings.ID, detail string) { r.Found.Add(id, atProof, detail) }
	for _, id := range paths.Check(p.Path) {
		r.Found.Add(id, p.Path, "the path breaks a rule")
	}
	if manifest.OwnDir(p.Path) {
		r.Found.Add(findings.PathOwnDir, p.Path, "the run keeps this name for itself")
	}
	if !p.Holds() {
		say(findings.InclusionInvalid, "")
	}
	if root != "" && root != p.MerkleRoot {
		say(findings.RootMismatch, "another root was given")
	}
	if keys.Given() {
		tally := keys.Tally()
		if p.Envelope != nil {
			if s := keys.Open(*p.Envelope, say); s != nil && s.JudgeRoot(p.RunID, p.MerkleRoot, p.TreeSize, say) {
				tally.Add(s)
			}
		}
		if missing := tally.Missing(); missing != "" {
			say(findings.SignatureMissing, missing)
		}
		r.Verdict.SignedBy = tally.SignedBy()
	}
	p.content(r, file, fileKind)
	return r.Close(), nil
}

// read is steps 1 and 2; it returns nil where they say anything.
func read(r *report.Report, name string, kind target.Kind) *Proof {
	if !kind.Usual(r, atProof) {
		return nil
	}
	text, outcome := files.ReadWhole(unix.AT_FDCWD, name, maxBytes)
	switch outcome {
	case files.Changing:
		r.Found.Add(findings.Toctou, atProof, "it changed while it was looked at")
		return nil
	case files.TooLarge:
		r.Found.Add(findings.JSONTooLarge, atProof, "")
		return nil
	case files.Unreadable:
		r.Unreadable.Add(atProof)
		return nil
	}
	return Decode(text, func(id findings.ID, detail string) { r.Found.Add(id, atProof, detail) })
}

var proofKeys = []string{"artifact", "envelope", "hashes", "index", "merkle_root", "run_id", "schema", "tree_size"}
var artifactKeys = []string{"blake3", "path", "sha256", "size"}

// Decode reads a proof; where it cannot, the proof is nil and the finding has been passed on.
func Decode(text string, say func(id findings.ID, detail string)) *Proof {
	if fault := strictjson.Check(text); fault != nil {
		say(fault.ID, fault.Detail)
		return nil
	}
	d := schema.NewDecoder(text)
	p := &Proof{}
	d.Object("the proof", proofKeys, len(proofKeys), func(key string) {
		switch key {
		case "artifact":
			d.Object(key, artifactKeys, len(artifactKeys), func(key string) {
				switch key {
				case "blake3":
					p.BLAKE3 = d.Digest(key)
				case "path":
					p.Path = d.Str(key, nil)
				case "sha256":
					p.SHA256 = d.Digest(key)
				case "size":
					p.Size = d.Count(key)
				}
			})
		case "envelope":
			p.Envelope = d.StrOrNull(key)
		case "hashes":
			d.List(key, func() {
				hash, _ := ids.Parse(d.Digest(key))
				if len(p.Hashes) == maxHashes {
					d.Wrong(key)
					return
				}
				p.Hashes = append(p.Hashes, merkle.Hash(hash))
			})
		case "index":
			p.Index = d.Count(key)
		case "merkle_root":
			p.MerkleRoot = d.Digest(key)
		case "run_id":
			p.RunID = d.Str(key, schema.IsText)
		case "schema":
			d.Version(schemaName)
		case "tree_size":
			p.TreeSize = d.Count(key)
		}
	})
	switch {
	case d.Report(schemaName, findings.ProofMalformed, say):
	case !strictjson.Spelled(text):
		say(findings.ManifestNotCanonical, "not the one spelling of its content")
	default:
		return p
	}
	return nil
}

// Holds says whether the leaf of the artifact stands at its index in the tree with this root.
func (p *Proof) Holds() bool {
	sha, _ := hex.DecodeString(p.SHA256)
	blake, _ := hex.DecodeString(p.BLAKE3)
	root, _ := ids.Parse(p.MerkleRoot)
	leaf := merkle.LeafHash(merkle.Leaf(nil, p.Path, p.Size, sha, blake))
	return merkle.Included(leaf, p.Index, p.TreeSize, p.Hashes, merkle.Hash(root))
}

// content is step 7.
func (p *Proof) content(r *report.Report, name string, kind target.Kind) {
	if !kind.Usual(r, atFile) {
		return
	}
	say := func(id findings.ID, detail string) { r.Found.Add(id, atFile, detail) }
	fd, err := files.Open(unix.AT_FDCWD, name, files.FileFlags)
	switch {
	case files.IsGone(err):
		say(findings.Toctou, "it was gone, or of another kind, when it was opened")
		return
	case err != nil:
		r.Unreadable.Add(atFile)
		return
	}
	defer unix.Close(fd)
	a := files.Compare(files.NewHasher(), fd, files.Record{Size: p.Size, BLAKE3: p.BLAKE3, SHA256: p.SHA256})
	switch {
	case a.Unreadable:
		r.Unreadable.Add(atFile)
	case a.ID != "":
		say(a.ID, a.Detail)
	}
	if a.Read {
		r.Count(p.Size)
	}
}
