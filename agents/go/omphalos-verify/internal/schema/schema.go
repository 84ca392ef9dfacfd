// Package schema reads JSON objects of a closed schema (docs/format/verify.md, step 3): unknown keys, types and forms.
// The text has passed strictjson.
package schema

import (
	"unicode/utf8"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/paths"
	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

// IsText says whether s is 1 to 1024 code points.
func IsText(s string) bool { return IsTextUpTo(s, 1024) }

// IsTextUpTo says whether s is 1 to so many code points.
func IsTextUpTo(s string, most int) bool {
	return s != "" && len(s) <= most*utf8.UTFMax && utf8.RuneCountInString(s) <= most
}

// Decoder reads by a schema and goes on after faults, because what is reported depends on which of them there are.
// It keeps one example of each; the strings are empty where there is none.
type Decoder struct {
	R           *strictjson.Reader
	OtherSchema bool
	Malformed   string
	keyCase     string
	unknown     string
}

// NewDecoder returns a decoder of a text that strictjson let through.
func NewDecoder(text string) Decoder { return Decoder{R: strictjson.NewReader(text)} }

const shown = 80 // bytes of a foreign key that a finding repeats

// Report says the first that applies of: another version, unknown keys, types and forms (as the id malformed). It
// returns whether it said anything.
func (d *Decoder) Report(version string, malformed findings.ID, say func(id findings.ID, detail string)) bool {
	switch {
	case d.OtherSchema:
		say(findings.ManifestVersion, "this reader knows "+version)
	case d.keyCase != "" || d.unknown != "":
		if d.keyCase != "" {
			say(findings.JSONKeyCase, d.keyCase)
		}
		if d.unknown != "" {
			say(findings.JSONUnknownField, d.unknown)
		}
	case d.Malformed != "":
		say(malformed, d.Malformed)
	default:
		return false
	}
	return true
}

// Wrong notes a value that is missing or not of its type or form.
func (d *Decoder) Wrong(where string) {
	if d.Malformed == "" {
		d.Malformed = where + " is missing, or not of its type or form"
	}
}

// Object reads an object of the schema: member is called with each known key, and must read the value. The first
// required of the known keys must all be there.
func (d *Decoder) Object(where string, known []string, required int, member func(key string)) {
	if d.R.Kind() != strictjson.Object {
		d.Wrong(where)
		d.R.Skip()
		return
	}
	var seen uint32
	d.R.Object(func(key string) {
		for i, name := range known {
			if name == key {
				seen |= 1 << i
				member(key)
				return
			}
		}
		short := key[:min(len(key), shown)]
		folded := ""
		if len(key) <= shown { // no known key folds from anything longer
			folded = paths.CaseFold(key)
		}
		miscased := false
		for _, name := range known {
			miscased = miscased || name == folded
		}
		if miscased && d.keyCase == "" {
			d.keyCase = where + ": " + short
		}
		if !miscased && d.unknown == "" {
			d.unknown = where + ": " + short
		}
		d.R.Skip()
	})
	for i, name := range known[:required] {
		if seen&(1<<i) == 0 && d.Malformed == "" {
			d.Wrong(where + ": " + name)
		}
	}
}

// List reads a list: item is called for each value and must read it.
func (d *Decoder) List(where string, item func()) {
	if d.R.Kind() != strictjson.Array {
		d.Wrong(where)
		d.R.Skip()
		return
	}
	d.R.Array(func(int) { item() })
}

// Str reads text of a form; nil means any text.
func (d *Decoder) Str(where string, form func(string) bool) string {
	if d.R.Kind() != strictjson.String {
		d.Wrong(where)
		d.R.Skip()
		return ""
	}
	text := d.R.Str()
	if form != nil && !form(text) {
		d.Wrong(where)
	}
	return text
}

// Version reads the member schema, which must be this text.
func (d *Decoder) Version(version string) {
	isText := d.R.Kind() == strictjson.String
	if text := d.Str("schema", nil); isText && text != version {
		d.OtherSchema = true
	}
}

// Again reads a value and returns its text.
func (d *Decoder) Again(read func()) string {
	before := *d.R
	read()
	return before.Raw()
}

// Null reads a null, if one stands here.
func (d *Decoder) Null() bool {
	if d.R.Kind() != strictjson.Null {
		return false
	}
	d.R.Skip()
	return true
}

// StrOrNull reads any text, or null as nil.
func (d *Decoder) StrOrNull(where string) *string {
	if d.Null() {
		return nil
	}
	text := d.Str(where, nil)
	return &text
}

// Count reads an integer.
func (d *Decoder) Count(where string) uint64 {
	if d.R.Kind() != strictjson.Int {
		d.Wrong(where)
		d.R.Skip()
		return 0
	}
	return d.R.Int()
}

// Digest reads 64 lower-case hex digits.
func (d *Decoder) Digest(where string) string { return d.Str(where, ids.IsHex) }
