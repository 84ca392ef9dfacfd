package manifest

import (
	"strconv"
	"strings"

	"omphalos.invalid/agents/go/omphalos-verify/internal/strictjson"
)

// speller writes a manifest in its one spelling, piece by piece, so that it can be compared without a copy of it.
type speller struct {
	sink   func(piece string) bool // says whether to go on
	indent string
	done   bool
}

// Spell writes the one spelling of m; sink says after each piece whether to go on. It returns whether all was written.
func Spell(m *Manifest, sink func(piece string) bool) (whole bool) {
	w := &speller{sink: sink, indent: "\n"}
	w.manifest(m)
	w.put("\n")
	return !w.done
}

// spells says whether text is the one spelling of m.
func spells(m *Manifest, text string) bool {
	var same bool
	whole := Spell(m, func(piece string) bool {
		text, same = strings.CutPrefix(text, piece)
		return same
	})
	return whole && text == ""
}

func (w *speller) put(s string) {
	w.done = w.done || !w.sink(s)
}

func (w *speller) count(n uint64) { w.put(strconv.FormatUint(n, 10)) }

func (w *speller) str(s string) {
	w.put(`"`)
	start := 0
	for i := range len(s) {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		w.put(s[start:i])
		start = i + 1
		switch c {
		case '"', '\\':
			w.put(`\` + string(rune(c)))
		case '\b':
			w.put(`\b`)
		case '\f':
			w.put(`\f`)
		case '\n':
			w.put(`\n`)
		case '\r':
			w.put(`\r`)
		case '\t':
			w.put(`\t`)
		default:
			const hex = "0123456789abcdef"
			w.put(`\u00` + string([]byte{hex[c>>4], hex[c&15]}))
		}
	}
	w.put(s[start:])
	w.put(`"`)
}

func (w *speller) strOrNull(s *string) {
	if s == nil {
		w.put("null")
		return
	}
	w.str(*s)
}

// lines writes what all puts between brackets; all calls next before each item, which begins a line.
func (w *speller) lines(brackets string, all func(next func())) {
	w.put(brackets[:1])
	outer := w.indent
	w.indent += "  "
	some := false
	all(func() {
		if some {
			w.put(",")
		}
		some = true
		w.put(w.indent)
	})
	w.indent = outer
	if some {
		w.put(outer)
	}
	w.put(brackets[1:])
}

// items writes n things between brackets, one a line.
func (w *speller) items(brackets string, n int, item func(i int)) {
	w.lines(brackets, func(next func()) {
		for i := 0; i < n && !w.done; i++ {
			next()
			item(i)
		}
	})
}

// member is a key and what writes its value.
type member struct {
	key   string
	value func()
}

func (w *speller) object(members []member) {
	w.items("{}", len(members), func(i int) {
		w.str(members[i].key)
		w.put(": ")
		members[i].value()
	})
}

func (w *speller) text(key, s string) member { return member{key, func() { w.str(s) }} }
func (w *speller) number(key string, n uint64) member {
	return member{key, func() { w.count(n) }}
}
func (w *speller) optional(key string, s *string) member {
	return member{key, func() { w.strOrNull(s) }}
}
func (w *speller) columns(all []string) member {
	return member{"key", func() { w.items("[]", len(all), func(i int) { w.str(all[i]) }) }}
}

// texts writes a list of texts that was kept as JSON.
func (w *speller) texts(key, list string) member {
	return member{key, func() {
		r := strictjson.NewReader(list)
		w.lines("[]", func(next func()) {
			r.Array(func(int) {
				next()
				w.str(r.Str())
			})
		})
	}}
}

// packages writes an object of texts that was kept as JSON. Names are written as they stand: out of order they cannot
// be the one spelling, so that ends it.
func (w *speller) packages(object string) {
	r := strictjson.NewReader(object)
	last, some := "", false
	w.lines("{}", func(next func()) {
		r.Object(func(name string) {
			w.done = w.done || some && name <= last
			last, some = name, true
			next()
			w.str(name)
			w.put(": ")
			w.str(r.Str())
		})
	})
}

func (w *speller) manifest(m *Manifest) {
	w.object([]member{
		{"artifacts", func() { w.files(m.Artifacts) }},
		{"control", func() { w.files(m.Control) }},
		w.text("created", m.Created),
		{"environment", func() { w.environment(&m.Environment) }},
		w.text("merkle_root", m.MerkleRoot),
		w.text("name", m.Name),
		{"plan", func() { w.plan(&m.Plan) }},
		{"release", func() { w.release(m.Release) }},
		{"reports", func() {
			w.object([]member{
				w.optional("matching", m.Reports.Matching),
				w.optional("policy", m.Reports.Policy),
				w.optional("scoring", m.Reports.Scoring),
				w.optional("validation", m.Reports.Validation),
			})
		}},
		w.text("run_id", m.RunID),
		w.text("schema", schemaName),
		{"tool", func() { w.object([]member{w.text("name", m.ToolName), w.text("version", m.ToolVersion)}) }},
		w.text("tree", m.Tree),
	})
}

func (w *speller) files(files []File) {
	w.items("[]", len(files), func(i int) {
		f := &files[i]
		members := make([]member, 0, len(fileKeys))
		members = append(members, w.text("blake3", f.BLAKE3))
		if f.Table != nil && f.Table.Fingerprint != "" {
			members = append(members, w.text("fingerprint", f.Table.Fingerprint))
		}
		if f.Table != nil && f.Table.Key != nil {
			members = append(members, w.columns(f.Table.Key))
		}
		members = append(members, w.text("media_type", f.MediaType), w.text("path", f.Path), w.text("role", f.Role))
		if f.Table != nil && f.Table.Rows != nil {
			members = append(members, w.number("rows", *f.Table.Rows))
		}
		w.object(append(members, w.text("sha256", f.SHA256), w.number("size", f.Size)))
	})
}

func (w *speller) environment(e *Environment) {
	w.object([]member{
		w.number("cpu_count", e.CPUCount),
		w.text("locale", e.Locale),
		{"packages", func() { w.packages(e.Packages) }},
		w.text("platform", e.Platform),
		w.text("python", e.Python),
		w.text("timezone", e.Timezone),
	})
}

func (w *speller) plan(p *Plan) {
	w.object([]member{
		w.text("config", p.Config),
		w.text("id", p.ID),
		{"inputs", func() {
			w.items("[]", len(p.Inputs), func(i int) {
				in := &p.Inputs[i]
				w.object([]member{
					w.text("blake3", in.BLAKE3), w.text("format", in.Format), w.text("path", in.Path),
					w.number("records", in.Records), w.text("role", in.Role), w.text("sha256", in.SHA256),
					w.number("size", in.Size), w.text("source", in.Source),
				})
			})
		}},
		w.text("method", p.Method),
	})
}

func (w *speller) release(r *Release) {
	if r == nil {
		w.put("null")
		return
	}
	w.object([]member{
		w.text("bundle_id", r.BundleID), w.texts("contents", r.Contents), w.text("created", r.Created),
		w.text("of", r.Of), w.optional("policy", r.Policy), w.texts("signers", r.Signers),
	})
}
