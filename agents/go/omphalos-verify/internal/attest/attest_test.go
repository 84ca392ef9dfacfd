package attest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

func private(word string) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte((word + strings.Repeat("-", 32))[:32]))
}

func given(words ...string) *Keys {
	k := &Keys{}
	for _, word := range words {
		k.add(private(word).Public().(ed25519.PublicKey))
	}
	return k
}

func keyid(word string) string { return given(word).IDs()[0] }

var about = &Run{strings.Repeat("a", 64), strings.Repeat("b", 64), "t-1", strings.Repeat("c", 64), 3}

// statement is a good one about that run, after replacements of text.
func statement(edits ...string) string {
	text := `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"` + about.SHA256 + `","blake3":"` +
		about.BLAKE3 + `"}}],"predicateType":"urn:omphalos:run:v1","predicate":{"runId":"t-1","merkleRoot":"` +
		about.MerkleRoot + `","treeSize":3,"outcome":"identical"}}`
	return strings.NewReplacer(edits...).Replace(text)
}

// enveloped signs a statement by somebody, under a keyid or none.
func enveloped(payload, by, id string) string {
	b64 := base64.StdEncoding.EncodeToString
	sig := `{"sig":"` + b64(ed25519.Sign(private(by), pae([]byte(payload)))) + `"`
	if id != "" {
		sig += `,"keyid":"` + id + `"`
	}
	return `{"payload":"` + b64([]byte(payload)) + `","payloadType":"` + payloadType + `","signatures":[` + sig + `}]}`
}

// judged is what is said of an envelope where alice's key is given, and whether it counts.
func judged(envelope string) string {
	var said []string
	say := func(id findings.ID, _ string) { said = append(said, string(id)) }
	if s := given("alice").Open(envelope, say); s != nil && about.Judge(s, say) {
		said = append(said, "counts")
	}
	return strings.Join(said, " ")
}

// A key is read in both of its forms, and in no other.
func TestKeys(t *testing.T) {
	raw := []byte(private("alice").Public().(ed25519.PublicKey))
	pem := pemHead + base64.StdEncoding.EncodeToString(append([]byte(derStart), raw...)) + pemTail
	text := hex.EncodeToString(raw)
	for _, good := range []string{pem, pem + "\n", text, text + "\n"} {
		if got, err := ParseKey(good); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%q: %x, %v", good, got, err)
		}
	}
	for name, bad := range map[string]string{
		"nothing": "", "two newlines": pem + "\n\n", "spaced": " " + text, "upper": strings.ToUpper(text), "short": text[:62],
		"crlf": strings.ReplaceAll(pem, "\n", "\r\n"), "other type": strings.Replace(pem, "MCow", "MCox", 1),
		"url": strings.Replace(pem, "MCow", "MC-w", 1), "long": text + strings.Repeat("\n", 5000), "no tail": strings.TrimSuffix(pem, "-"),
	} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// Base64 is taken in one alphabet, with its padding, and with unused bits that are zero.
func TestBase64(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, "YQ==": true, "+/+/": true, "-_-_": true, "+/-_": false, "YQ": false, "YQ=": false, "YR==": false,
		"YQ==YQ==": false, "YQ==\n": false, "Y\nQ==": false, "YQ= =": false, "====": false, "YWI=": true, "YWJ=": false,
	} {
		if _, ok := decode(text); ok != want {
			t.Errorf("%q: %v", text, ok)
		}
	}
}

// Each rule about an envelope, its signatures and its statement has its finding.
func TestRules(t *testing.T) {
	alice := keyid("alice")
	good := enveloped(statement(), "alice", alice)
	short := strings.Repeat("c", 63)
	for name, c := range map[string][2]string{
		"good":                    {good, "counts"},
		"no keyid":                {enveloped(statement(), "alice", ""), "counts"},
		"foreign keyid":           {enveloped(statement(), "alice", "x"), "counts"},
		"somebody else":           {enveloped(statement(), "bob", ""), ""},
		"in her name":             {enveloped(statement(), "bob", alice), "signatureInvalid"},
		"no JSON":                 {"{" + good, "jsonSyntax"},
		"key twice":               {`{"payload":"",` + good[1:], "jsonDuplicateKey"},
		"large":                   {good + strings.Repeat(" ", MaxEnvelope), "jsonTooLarge"},
		"list":                    {"[]", "envelopeMalformed"},
		"other payloadType":       {strings.Replace(good, payloadType, "x", 1), "envelopeMalformed"},
		"keyid null":              {strings.Replace(good, `"keyid":"`+alice+`"`, `"keyid":null`, 1), "envelopeMalformed"},
		"no signatures":           {good[:strings.Index(good, `"signatures"`)] + `"signatures":[]}`, "envelopeMalformed"},
		"padding":                 {strings.Replace(good, `=="`, `="`, 1), "base64Malformed"},
		"unknown members":         {`{"x":{"PAYLOAD":[1]},` + good[1:], "counts"},
		"statement no JSON":       {enveloped("x", "alice", ""), "jsonSyntax"},
		"statement of bob's":      {enveloped("x", "bob", ""), ""},
		"no type":                 {enveloped(statement("_type", "type"), "alice", ""), "statementMalformed"},
		"no subject":              {enveloped(statement("subject", "subjects"), "alice", ""), "statementMalformed"},
		"digest no text":          {enveloped(statement(`"`+about.BLAKE3+`"`, "1"), "alice", ""), "statementMalformed"},
		"root short":              {enveloped(statement(about.MerkleRoot, short), "alice", ""), "statementMalformed"},
		"size text":               {enveloped(statement(`"treeSize":3`, `"treeSize":"3"`), "alice", ""), "statementMalformed"},
		"other type":              {enveloped(statement(typeRun, "urn:x"), "alice", ""), ""},
		"other type, no object":   {enveloped(statement(typeRun, "urn:x", `"predicate":{`, `"predicate":1,"p":{`), "alice", ""), "statementMalformed"},
		"again":                   {enveloped(statement(typeRun, typeAgain), "alice", ""), "counts"},
		"again, different":        {enveloped(statement(typeRun, typeAgain, "identical", "different"), "alice", ""), ""},
		"again, no outcome":       {enveloped(statement(typeRun, typeAgain, "outcome", "o"), "alice", ""), "statementMalformed"},
		"again, another run":      {enveloped(statement(typeRun, typeAgain, "t-1", "t-2"), "alice", ""), "subjectMismatch"},
		"another manifest":        {enveloped(statement(about.SHA256, about.MerkleRoot), "alice", ""), "subjectMismatch"},
		"another blake3":          {enveloped(statement(about.BLAKE3, about.MerkleRoot), "alice", ""), "hashDisagree"},
		"another root":            {enveloped(statement(about.MerkleRoot, about.BLAKE3), "alice", ""), "subjectMismatch"},
		"another number of files": {enveloped(statement(`"treeSize":3`, `"treeSize":4`), "alice", ""), "subjectMismatch"},
	} {
		if got := judged(c[0]); got != c[1] {
			t.Errorf("%s: %q, not %q", name, got, c[1])
		}
	}
}

// A signature is valid in the form without the cofactor only: a component of small order in its first half, which the
// form with the cofactor takes, and an S beyond the order of the group are refused.
func TestNoCofactor(t *testing.T) {
	// Case 4 of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020): it holds with the cofactor, and not without.
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	message := unhex("e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c")
	public := unhex("cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d")
	sig := unhex("160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09")
	if ed25519.Verify(public, message, sig) {
		t.Error("the form with the cofactor is in use")
	}
	key := private("alice")
	good := ed25519.Sign(key, message)
	order := unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	carry := 0
	for i := range order {
		sum := int(good[32+i]) + int(order[i]) + carry
		good[32+i], carry = byte(sum), sum>>8
	}
	if carry == 0 && ed25519.Verify(key.Public().(ed25519.PublicKey), message, good) {
		t.Error("an S beyond the order is taken")
	}
}

// Of several keys each is counted by itself, and Both keeps what counts everywhere.
func TestTally(t *testing.T) {
	keys := given("alice", "bob")
	none := func(id findings.ID, detail string) { t.Errorf("%s: %s", id, detail) }
	one, two := keys.Tally(), keys.Tally()
	one.Add(keys.Open(enveloped(statement(), "alice", ""), none))
	if one.Missing() != keyid("bob") || len(one.SignedBy()) != 1 {
		t.Errorf("missing %s, signed by %v", one.Missing(), one.SignedBy())
	}
	two.Add(keys.Open(enveloped(statement(), "bob", ""), none))
	one.Both(two)
	if len(one.SignedBy()) != 0 {
		t.Errorf("signed by %v", one.SignedBy())
	}
}

// No bytes make the reader fall over, and what it takes as an envelope encoding/json reads as one.
func FuzzOpen(f *testing.F) {
	keys := given("alice", "bob")
	f.Add(enveloped(statement(), "alice", ""))
	f.Add(enveloped(statement(typeRun, typeAgain), "bob", keyid("bob")))
	f.Add(`{"payload":"","payloadType":"` + payloadType + `","signatures":[{"sig":""}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		said := 0
		s := keys.Open(text, func(findings.ID, string) { said++ })
		if said > 1 || said > 0 && s != nil {
			t.Fatalf("%d findings, and a statement: %v", said, s != nil)
		}
		if said > 0 {
			return
		}
		var e struct {
			Payload, PayloadType string
			Signatures           []struct{ Sig string }
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || len(e.Signatures) < 1 || len(e.Signatures) > 16 {
			t.Errorf("taken, and encoding/json says: %v", err)
		}
	})
}

// A statement of any bytes, signed, is judged without falling over, and counts only if it says what it must.
func FuzzStatement(f *testing.F) {
	keys := given("alice")
	f.Add(statement())
	f.Add(statement(typeRun, typeAgain))
	f.Add(statement(typeRun, "urn:x", `"predicate":{`, `"predicate":null,"p":{`))
	f.Fuzz(func(t *testing.T, text string) {
		said := 0
		say := func(findings.ID, string) { said++ }
		s := keys.Open(enveloped(text, "alice", ""), say)
		if s == nil {
			if said != 1 && len(text) < MaxEnvelope/2 {
				t.Errorf("%d findings, and no statement", said)
			}
			return
		}
		if counts := about.Judge(s, say); counts && (said > 0 || !strings.Contains(text, about.SHA256[:8]) && !strings.Contains(text, `\u`)) {
			t.Error("it counts")
		}
	})
}

// No bytes of a key make the reader fall over; what it takes has one of the two forms.
func FuzzKey(f *testing.F) {
	f.Add(strings.Repeat("0a", 32) + "\n")
	f.Add(pemHead + "MCowBQYDK2VwAyEA" + strings.Repeat("A", 43) + "=" + pemTail + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := ParseKey(text)
		if err != nil {
			return
		}
		pem := pemHead + base64.StdEncoding.EncodeToString(append([]byte(derStart), raw...)) + pemTail
		if body := strings.TrimSuffix(text, "\n"); body != pem && body != hex.EncodeToString(raw) {
			t.Errorf("%q is taken", text)
		}
	})
}
