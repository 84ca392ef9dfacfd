// Package paths holds the rules of docs/format/paths.md: what a name must obey to be a file of a run.
package paths

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
)

const (
	maxComponent  = 255
	maxPath       = 1024
	MaxComponents = 64
	ownName       = ".omphalos"
)

// order is that of docs/findings.md, in which the findings about one name are listed.
var order = []findings.ID{
	findings.PathAbsolute, findings.PathDotdot, findings.PathBackslash, findings.PathEmptyComponent, findings.PathSlash,
	findings.PathControl, findings.PathInvisible, findings.PathReserved, findings.PathTrailing, findings.PathStream,
	findings.PathOwnDir, findings.PathNotNFC, findings.PathTooLong, findings.PathTooDeep,
}

// broken is a set of findings.
type broken map[findings.ID]struct{}

func (b broken) add(id findings.ID) { b[id] = struct{}{} }

func (b broken) list() []findings.ID {
	var out []findings.ID
	for _, id := range order {
		if _, there := b[id]; there {
			out = append(out, id)
		}
	}
	return out
}

// Check returns every rule that a whole relative path breaks.
func Check(path string) []findings.ID {
	if !utf8.ValidString(path) {
		return []findings.ID{findings.NotUTF8}
	}
	found := broken{}
	rest := strings.TrimLeft(path, "/")
	if rest != path || strings.HasPrefix(rest, `\`) || isDrive(rest) || rest == "~" || strings.HasPrefix(rest, "~/") {
		found.add(findings.PathAbsolute)
	}
	if len(path) > maxPath {
		found.add(findings.PathTooLong)
	}
	if strings.Count(rest, "/") >= MaxComponents {
		found.add(findings.PathTooDeep)
	}
	for part := range strings.SplitSeq(rest, "/") {
		component(part, found)
	}
	return found.list()
}

// CheckComponent returns every rule that one name between slashes breaks.
func CheckComponent(name string) []findings.ID {
	if !utf8.ValidString(name) {
		return []findings.ID{findings.NotUTF8}
	}
	found := broken{}
	component(name, found)
	return found.list()
}

// Refusing returns those findings that refuse a name, leaving out warnings.
func Refusing(ids []findings.ID) []findings.ID {
	return slices.DeleteFunc(slices.Clone(ids), func(id findings.ID) bool { return !id.Refuses() })
}

func isDrive(s string) bool {
	return len(s) >= 2 && s[1] == ':' && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

func component(name string, found broken) {
	switch name {
	case "", ".":
		found.add(findings.PathEmptyComponent)
		return
	case "..":
		found.add(findings.PathDotdot)
		return
	}
	if isPlain(name) && !isDevice(name) {
		return
	}
	for _, r := range name {
		switch {
		case r == '/':
			found.add(findings.PathSlash)
		case r == '\\':
			found.add(findings.PathBackslash)
		case r < 0x20 || r >= 0x7f && r <= 0x9f:
			found.add(findings.PathControl)
		case strings.ContainsRune(`<>:"|?*`, r):
			found.add(findings.PathStream)
		case isInvisible(r):
			found.add(findings.PathInvisible)
		}
	}
	if isDevice(name) {
		found.add(findings.PathReserved)
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		found.add(findings.PathTrailing)
	}
	if len(name) > maxComponent {
		found.add(findings.PathTooLong)
		return
	}
	if NFC(name) != name {
		found.add(findings.PathNotNFC)
	}
	if isOwn(name) {
		found.add(findings.PathOwnDir)
	}
}

// isPlain says quickly that a name holds only everyday ASCII characters; false means only that it must be looked at.
func isPlain(name string) bool {
	if len(name) > maxComponent || name[0] == '.' || name[len(name)-1] == '.' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '_' && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func between(r, first, last rune) bool { return r >= first && r <= last }

func isInvisible(r rune) bool {
	switch r {
	case 0xad, 0x61c, 0x180e, 0xfeff, 0xe0001:
		return true
	}
	return between(r, 0x200b, 0x200f) || between(r, 0x2028, 0x202e) || between(r, 0x2060, 0x2064) ||
		between(r, 0x2066, 0x206f) || between(r, 0xfff9, 0xfffb) || between(r, 0xe0020, 0xe007f)
}

// isIgnored says whether HFS+ leaves a character out when it compares names.
func isIgnored(r rune) bool {
	return between(r, 0x200c, 0x200f) || between(r, 0x202a, 0x202e) || between(r, 0x206a, 0x206f) || r == 0xfeff
}

var devices = []string{"con", "prn", "aux", "nul", "conin$", "conout$"}

func isDevice(name string) bool {
	for _, device := range devices {
		if rest, ok := cutFold(name, device); ok && endsDevice(rest) {
			return true
		}
	}
	for _, port := range []string{"com", "lpt"} {
		rest, ok := cutFold(name, port)
		if !ok {
			continue
		}
		r, size := utf8.DecodeRuneInString(rest)
		if (between(r, '1', '9') || r == '¹' || r == '²' || r == '³') && endsDevice(rest[size:]) {
			return true
		}
	}
	return false
}

// cutFold cuts a lower-case ASCII prefix off, comparing without regard to ASCII case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) {
		return "", false
	}
	for i := range len(prefix) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return "", false
		}
	}
	return s[len(prefix):], true
}

func endsDevice(rest string) bool {
	rest = strings.TrimLeft(rest, " ")
	return rest == "" || rest[0] == '.' || rest[0] == ':'
}

func isOwn(name string) bool {
	name = strings.Map(func(r rune) rune {
		if isIgnored(r) {
			return -1
		}
		return r
	}, name)
	name, _, _ = strings.Cut(Fold(name), ":")
	name = strings.TrimRight(name, ". ")
	if name == ownName {
		return true
	}
	rest, ok := strings.CutPrefix(name, "omphal~")
	if !ok {
		return false
	}
	after := strings.TrimLeft(rest, "0123456789")
	if after == rest {
		return false
	}
	return after == "" || after[0] == '.' && !strings.Contains(after[1:], ".")
}

// CompareByComponent orders paths component by component, so that what is in one folder stands together.
func CompareByComponent(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] == b[i] {
			continue
		}
		switch {
		case a[i] == '/':
			return -1
		case b[i] == '/':
			return 1
		case a[i] < b[i]:
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// folder is one on the way to the path being looked at, with the names met in it.
type folder struct {
	name  string
	names []string
}

// Emit takes one finding.
type Emit func(id findings.ID, path, detail string)

// CheckSet checks a set of file paths each by itself and against each other, and passes on what it finds; a finding may
// be passed on twice. Memory is linear in the paths.
func CheckSet(all []string, emit Emit) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, CompareByComponent)
	for i := 1; i < len(sorted); i++ {
		if sorted[i] == sorted[i-1] {
			emit(findings.DuplicateEntry, sorted[i], "listed more than once")
		}
	}
	sorted = slices.Compact(sorted)
	chain := []folder{{}}
	leave := func() {
		collisions(chain, emit)
		chain = chain[:len(chain)-1]
	}
	for _, path := range sorted {
		comparable := true
		for _, id := range Check(path) {
			emit(id, path, "the path breaks a rule")
			comparable = comparable && id != findings.PathTooLong && id != findings.PathTooDeep && id != findings.NotUTF8
		}
		if !comparable {
			continue
		}
		parts := strings.Split(path, "/")
		folders, name := parts[:len(parts)-1], parts[len(parts)-1]
		shared := 0
		for shared < min(len(chain)-1, len(folders)) && chain[shared+1].name == folders[shared] {
			shared++
		}
		for len(chain)-1 > shared {
			leave()
		}
		for i, f := range folders[shared:] {
			chain[len(chain)-1].names = append(chain[len(chain)-1].names, f)
			chain = append(chain, folder{name: f})
			whole := strings.Join(folders[:shared+i+1], "/")
			if _, there := slices.BinarySearchFunc(sorted, whole, CompareByComponent); there {
				emit(findings.PathFileDir, whole, "another path goes through it")
			}
		}
		chain[len(chain)-1].names = append(chain[len(chain)-1].names, name)
	}
	for len(chain) > 0 {
		leave()
	}
}

// collisions reports the names of the innermost folder that fold like another one in it.
func collisions(chain []folder, emit Emit) {
	names := chain[len(chain)-1].names
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) < 2 {
		return
	}
	prefix := ""
	for _, f := range chain[1:] {
		prefix += f.name + "/"
	}
	folded, spelled := map[string]string{}, map[string]string{}
	for _, name := range names {
		normal := NFC(name)
		twin, known := spelled[normal]
		if !known {
			spelled[normal] = name
		}
		key := Fold(name)
		first, collides := folded[key]
		switch {
		case !collides:
			folded[key] = name
		case known:
			emit(findings.PathNormCollision, prefix+name, fmt.Sprintf("collides with %q", prefix+twin))
		default:
			emit(findings.PathCaseCollision, prefix+name, fmt.Sprintf("collides with %q", prefix+first))
		}
	}
}
