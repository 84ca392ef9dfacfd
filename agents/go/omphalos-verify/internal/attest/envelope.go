package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"strconv"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

const (
	// MaxEnvelope is the longest envelope, and the longest statement.
	MaxEnvelope = 1 << 20
	// MaxEnvelopes is how many a run may have.
	MaxEnvelopes  = 256
	maxSignatures = 16
	maxSubjects   = 1024

	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	typeRun       = "urn:omphalos:run:v1"
	typeAgain     = "urn:omphalos:recomputation:v1"
)

// Say takes one finding about an envelope.
type Say func(id findings.ID, detail string)

// Statement is one that a given key has signed.
type Statement struct {
	signers    []bool // by place of the key
	subjects   []subject
	kind       string
	runID      string
	merkleRoot string
	treeSize   uint64
	outcome    string
}

type subject struct{ sha256, blake3 *string }

// fields reads the members of an object that are known, and passes over the others. It returns false where there is no
// object, or a member of it says so.
func fields(r *strictjson.Reader, member func(key string) (ok, known bool)) bool {
	if r.Kind() != strictjson.Object {
		r.Skip()
		return false
	}
	all := true
	r.Object(func(key string) {
		ok, known := member(key)
		if !known {
			r.Skip()
			return
		}
		all = all && ok
	})
	return all
}

// text reads a text; where there is something else it is passed over.
func text(r *strictjson.Reader) (string, bool) {
	if r.Kind() != strictjson.String {
		r.Skip()
		return "", false
	}
	return r.Str(), true
}

// count reads an integer; where there is something else it is passed over.
func count(r *strictjson.Reader) (uint64, bool) {
	if r.Kind() != strictjson.Int {
		r.Skip()
		return 0, false
	}
	return r.Int(), true
}

type signature struct {
	sig   string
	keyid *string
}

type envelope struct {
	payload    string
	signatures []signature
}

// parseEnvelope reads strict JSON; ok is false where it is no envelope.
func parseEnvelope(whole string) (e envelope, ok bool) {
	r := strictjson.NewReader(whole)
	var hasPayload, hasType, hasSignatures bool
	ok = fields(r, func(key string) (ok, known bool) {
		switch key {
		case "payload":
			e.payload, ok = text(r)
			hasPayload = true
		case "payloadType":
			var kind string
			kind, ok = text(r)
			ok = ok && kind == payloadType
			hasType = true
		case "signatures":
			hasSignatures = true
			if r.Kind() != strictjson.Array {
				r.Skip()
				return false, true
			}
			ok = true
			r.Array(func(place int) {
				s, good := parseSignature(r)
				ok = ok && good && place < maxSignatures
				if ok {
					e.signatures = append(e.signatures, s)
				}
			})
			ok = ok && len(e.signatures) > 0
		default:
			return true, false
		}
		return ok, true
	})
	return e, ok && hasPayload && hasType && hasSignatures
}

func parseSignature(r *strictjson.Reader) (s signature, ok bool) {
	hasSig := false
	ok = fields(r, func(key string) (ok, known bool) {
		switch key {
		case "sig":
			s.sig, ok = text(r)
			hasSig = true
		case "keyid":
			var id string
			id, ok = text(r)
			s.keyid = &id
		default:
			return true, false
		}
		return ok, true
	})
	return s, ok && hasSig
}

// pae returns the bytes that are signed.
func pae(payload []byte) []byte {
	out := make([]byte, 0, len(payload)+len(payloadType)+32)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(out, " "+payloadType+" "...)
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// Open judges an envelope as far as it can be judged by itself (steps 2.2 to 2.7). It returns nil where that said
// something, and where no given key has signed.
func (k *Keys) Open(whole string, say Say) *Statement {
	if len(whole) > MaxEnvelope {
		say(findings.JSONTooLarge, "")
		return nil
	}
	if fault := strictjson.Check(whole); fault != nil {
		say(fault.ID, fault.Detail)
		return nil
	}
	e, ok := parseEnvelope(whole)
	if !ok {
		say(findings.EnvelopeMalformed, "not a DSSE envelope of an in-toto statement")
		return nil
	}
	payload, ok := decode(e.payload)
	sigs := make([][]byte, len(e.signatures))
	for i, s := range e.signatures {
		var good bool
		sigs[i], good = decode(s.sig)
		ok = ok && good
	}
	if !ok {
		say(findings.Base64Malformed, "the payload or a signature is not base64")
		return nil
	}
	signed := pae(payload)
	signers, some := make([]bool, len(k.all)), false
	// The form without the cofactor: crypto/ed25519 refuses an S that is not below the order, and compares the encoding
	// of [S]B - [k]A with the first half.
	valid := func(i int, sig []byte) bool {
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(k.all[i].public, signed, sig)
	}
	for at, s := range e.signatures {
		named := -1
		for i, one := range k.all {
			if s.keyid != nil && *s.keyid == one.id {
				named = i
			}
		}
		if named >= 0 {
			if !valid(named, sigs[at]) {
				say(findings.SignatureInvalid, "by its keyid of "+k.all[named].id)
				return nil
			}
			signers[named], some = true, true
			continue
		}
		for i := range k.all {
			if valid(i, sigs[at]) {
				signers[i], some = true, true
			}
		}
	}
	if !some {
		return nil
	}
	if fault := strictjson.Check(string(payload)); fault != nil {
		say(fault.ID, "in the payload: "+fault.Detail)
		return nil
	}
	s, ok := parseStatement(string(payload))
	if !ok {
		say(findings.StatementMalformed, "not an in-toto statement with the members it needs")
		return nil
	}
	s.signers = signers
	return s
}

// predicate holds those members that the two types known here ask for; a member is nil where it is not there in its form.
type predicate struct {
	runID, merkleRoot, outcome *string
	treeSize                   *uint64
}

// parseStatement reads strict JSON; ok is false where it is no statement, or lacks a member that its type needs.
func parseStatement(whole string) (s *Statement, ok bool) {
	s = &Statement{}
	r := strictjson.NewReader(whole)
	var hasType, hasSubject bool
	var p *predicate
	ok = fields(r, func(key string) (ok, known bool) {
		switch key {
		case "_type":
			var kind string
			kind, ok = text(r)
			ok = ok && kind == statementType
			hasType = true
		case "subject":
			ok = s.parseSubjects(r)
			hasSubject = true
		case "predicateType":
			s.kind, ok = text(r)
		case "predicate":
			if r.Kind() == strictjson.Null {
				r.Skip()
				return true, true
			}
			p, ok = parsePredicate(r)
		default:
			return true, false
		}
		return ok, true
	})
	if !ok || !hasType || !hasSubject || s.kind == "" {
		return nil, false
	}
	if s.kind != typeRun && s.kind != typeAgain {
		return s, true
	}
	if p == nil || p.runID == nil {
		return nil, false
	}
	s.runID = *p.runID
	if s.kind == typeRun {
		if p.merkleRoot == nil || !ids.IsHex(*p.merkleRoot) || p.treeSize == nil {
			return nil, false
		}
		s.merkleRoot, s.treeSize = *p.merkleRoot, *p.treeSize
		return s, true
	}
	if p.outcome == nil {
		return nil, false
	}
	s.outcome = *p.outcome
	switch s.outcome {
	case "identical", "equal-after", "different", "not-rerunnable":
		return s, true
	}
	return nil, false
}

func (s *Statement) parseSubjects(r *strictjson.Reader) bool {
	if r.Kind() != strictjson.Array {
		r.Skip()
		return false
	}
	ok := true
	r.Array(func(place int) {
		var one subject
		has := false
		good := fields(r, func(key string) (ok, known bool) {
			if key != "digest" {
				return true, false
			}
			has = true
			return fields(r, func(algorithm string) (bool, bool) {
				value, ok := text(r)
				switch algorithm {
				case "sha256":
					one.sha256 = &value
				case "blake3":
					one.blake3 = &value
				}
				return ok, true
			}), true
		})
		ok = ok && good && has && place < maxSubjects
		if ok {
			s.subjects = append(s.subjects, one)
		}
	})
	return ok && len(s.subjects) > 0
}

func parsePredicate(r *strictjson.Reader) (*predicate, bool) {
	p := &predicate{}
	str := func() *string {
		if value, ok := text(r); ok {
			return &value
		}
		return nil
	}
	ok := fields(r, func(key string) (ok, known bool) {
		switch key {
		case "runId":
			p.runID = str()
		case "merkleRoot":
			p.merkleRoot = str()
		case "outcome":
			p.outcome = str()
		case "treeSize":
			if n, ok := count(r); ok {
				p.treeSize = &n
			}
		default:
			return true, false
		}
		return true, true // what is of another type is as good as absent
	})
	return p, ok
}

// Run is the run that a statement must be about.
type Run struct {
	SHA256, BLAKE3    string
	RunID, MerkleRoot string
	TreeSize          uint64
}

// About returns what a statement must say of a manifest with these bytes.
func About(m *manifest.Manifest, text string) *Run {
	sum := sha256.Sum256([]byte(text))
	return &Run{hex.EncodeToString(sum[:]), ids.Blob([]byte(text)).String(), m.RunID, m.MerkleRoot, uint64(len(m.Artifacts))}
}

// Judge says what steps 2.8 to 2.10 say of a statement, and returns whether it counts.
func (run *Run) Judge(s *Statement, say Say) bool {
	is, disagrees := false, false
	for _, one := range s.subjects {
		if one.sha256 != nil && *one.sha256 == run.SHA256 {
			is = true
			disagrees = disagrees || one.blake3 != nil && *one.blake3 != run.BLAKE3
		}
	}
	switch {
	case !is:
		say(findings.SubjectMismatch, "no subject is this manifest")
	case disagrees:
		say(findings.HashDisagree, "a subject has the sha256 of this manifest, and another blake3")
	case s.kind == typeRun && (s.runID != run.RunID || s.merkleRoot != run.MerkleRoot || s.treeSize != run.TreeSize):
		say(findings.SubjectMismatch, "it says another run_id, Merkle root or number of artifacts")
	case s.kind == typeAgain && s.runID != run.RunID:
		say(findings.SubjectMismatch, "it says another run_id")
	default:
		return s.kind == typeRun || s.kind == typeAgain && s.outcome == "identical"
	}
	return false
}

// JudgeRoot says what a proof's verifier says of a statement (docs/format/proof.md, step 6), and returns whether it counts.
func (s *Statement) JudgeRoot(runID, merkleRoot string, treeSize uint64, say Say) bool {
	if s.kind != typeRun {
		return false
	}
	switch {
	case s.merkleRoot != merkleRoot || s.treeSize != treeSize:
		say(findings.RootMismatch, "another root or size of the tree is signed")
	case s.runID != runID:
		say(findings.SubjectMismatch, "another run_id is signed")
	default:
		return true
	}
	return false
}
