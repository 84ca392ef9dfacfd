package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"omphalos.invalid/agents/go/omphalos-verify/internal/files"
	"omphalos.invalid/agents/go/omphalos-verify/internal/findings"
	"omphalos.invalid/agents/go/omphalos-verify/internal/ids"
	"omphalos.invalid/agents/go/omphalos-verify/internal/manifest"
	"omphalos.invalid/agents/go/omphalos-verify/internal/merkle"
	"omphalos.invalid/agents/go/omphalos-verify/internal/sample"
	"omphalos.invalid/agents/go/omphalos-verify/internal/target"
	"omphalos.invalid/agents/go/omphalos-verify/internal/tree"
)

// run is a run directory while it is made.
type run struct {
	t        testing.TB
	root     string
	manifest *manifest.Manifest
}

func (r *run) write(path, content string) {
	r.t.Helper()
	full := filepath.Join(r.root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func record(path, content string) manifest.File {
	sum := sha256.Sum256([]byte(content))
	return manifest.File{
		Path: path, Role: "x", MediaType: "text/plain", Size: uint64(len(content)),
		SHA256: hex.EncodeToString(sum[:]), BLAKE3: ids.Blob([]byte(content)).String(),
	}
}

// seal computes what the manifest says about itself, and writes it.
func (r *run) seal() {
	r.t.Helper()
	m := r.manifest
	slices.SortFunc(m.Artifacts, func(a, b manifest.File) int { return strings.Compare(a.Path, b.Path) })
	var head merkle.Head
	var files []tree.File
	for _, f := range m.Artifacts {
		sha, _ := hex.DecodeString(f.SHA256)
		id, _ := ids.Parse(f.BLAKE3)
		head.Add(merkle.LeafHash(merkle.Leaf(nil, f.Path, f.Size, sha, id[:])))
		files = append(files, tree.File{Path: f.Path, Size: f.Size, ID: id})
	}
	root := head.Root()
	m.MerkleRoot, m.Tree = hex.EncodeToString(root[:]), tree.Root(files).String()
	m.Plan.Config = m.Artifacts[0].BLAKE3
	m.Plan.ID = m.PlanID()
	m.RunID = m.Name + "-" + m.Plan.ID[:12]
	r.write(manifest.FileName, sample.Text(m))
}

// newRun makes a good run of these files.
func newRun(t testing.TB, files map[string]string) *run {
	t.Helper()
	r := &run{t, filepath.Join(t.TempDir(), "run"), &manifest.Manifest{
		Name: "t", Created: "2026-11-22T10:00:00Z", ToolName: "t", ToolVersion: "1",
		Plan:        manifest.Plan{Method: strings.Repeat("0", 64)},
		Environment: manifest.Environment{Python: "x", Platform: "x", Locale: "x", Timezone: "x", Packages: "{}"},
	}}
	for path, content := range files {
		r.write(path, content)
		r.manifest.Artifacts = append(r.manifest.Artifacts, record(path, content))
	}
	r.seal()
	return r
}

var example = map[string]string{"a.csv": "abc", "b/c": "", "b/d": "abd", "e/f/g": "x"}

// judge returns the word and the findings of a folder, as one text.
func judge(t testing.TB, path string) string {
	t.Helper()
	v, err := Directory(path, nil)
	if err != nil {
		return err.Error()
	}
	out := []string{v.Word()}
	for _, f := range v.Findings {
		out = append(out, string(f.ID)+" "+f.Path)
	}
	for _, path := range v.Unreadable {
		out = append(out, "? "+path)
	}
	return strings.Join(out, "|")
}

// Each way in which a folder differs from its manifest is found, and nothing else.
func TestDamage(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		damage func(r *run, at func(string) string)
		want   string
	}{
		"nothing":      {func(*run, func(string) string) {}, "verified"},
		"flipped":      {func(r *run, _ func(string) string) { r.write("a.csv", "abd") }, "refused|hashMismatch a.csv"},
		"shorter":      {func(r *run, _ func(string) string) { r.write("a.csv", "ab") }, "refused|sizeMismatch a.csv"},
		"longer":       {func(r *run, _ func(string) string) { r.write("b/c", "a") }, "refused|sizeMismatch b/c"},
		"removed":      {func(_ *run, at func(string) string) { must(os.Remove(at("a.csv"))) }, "refused|fileMissing a.csv"},
		"folder gone":  {func(_ *run, at func(string) string) { must(os.RemoveAll(at("b"))) }, "refused|fileMissing b/c|fileMissing b/d"},
		"added":        {func(r *run, _ func(string) string) { r.write("b/.x", "") }, "refused|fileExtra b/.x"},
		"folder added": {func(_ *run, at func(string) string) { must(os.MkdirAll(at("b/x/y"), 0o755)) }, "refused|dirExtra b/x|dirExtra b/x/y"},
		"linked": {func(_ *run, at func(string) string) {
			must(os.Rename(at("a.csv"), at("z")))
			must(os.Symlink("z", at("a.csv")))
		}, "refused|fileExtra z|fileMissing a.csv|symlinkEntry a.csv"},
		"folder linked": {func(_ *run, at func(string) string) {
			must(os.Rename(at("b"), at("attestations")))
			must(os.Symlink("attestations", at("b")))
		}, "refused|fileMissing b/c|fileMissing b/d|symlinkEntry b"},
		"loop":      {func(_ *run, at func(string) string) { must(os.Symlink(".", at("b/loop"))) }, "refused|symlinkEntry b/loop"},
		"pipe":      {func(_ *run, at func(string) string) { must(syscall.Mkfifo(at("p"), 0o644)) }, "refused|specialFile p"},
		"attested":  {func(r *run, _ func(string) string) { r.write("attestations/x/y", "z") }, "verified"},
		"not so":    {func(r *run, _ func(string) string) { r.write("attestations", "z") }, "refused|fileExtra attestations"},
		"bad name":  {func(r *run, _ func(string) string) { r.write("b/\xff\u00e9\xed", "z") }, `refused|notUtf8 b/\xffé\xed`},
		"bad entry": {func(r *run, _ func(string) string) { r.write("\xff/x", "z") }, `refused|notUtf8 \xff`},
		"one digest": {func(r *run, _ func(string) string) {
			r.manifest.Artifacts[0].SHA256 = strings.Repeat("0", 64)
			r.seal()
		}, "refused|hashDisagree a.csv"},
		"manifest gone": {func(_ *run, at func(string) string) { must(os.Remove(at("manifest.json"))) }, "refused|manifestMissing manifest.json"},
		"manifest folder": {func(_ *run, at func(string) string) {
			must(os.Remove(at("manifest.json")))
			must(os.Mkdir(at("manifest.json"), 0o755))
		}, "refused|manifestMissing manifest.json"},
		"manifest linked": {func(_ *run, at func(string) string) {
			must(os.Rename(at("manifest.json"), at("m")))
			must(os.Symlink("m", at("manifest.json")))
		}, "refused|symlinkEntry manifest.json"},
		"manifest pipe": {func(_ *run, at func(string) string) {
			must(os.Remove(at("manifest.json")))
			must(syscall.Mkfifo(at("manifest.json"), 0o644))
		}, "refused|specialFile manifest.json"},
		"manifest endless": {func(_ *run, at func(string) string) { must(os.Truncate(at("manifest.json"), manifest.MaxBytes+1)) }, "refused|jsonTooLarge manifest.json"},
		"manifest damaged": {func(r *run, _ func(string) string) { r.write("manifest.json", "{"); r.write("x", "") }, "refused|jsonSyntax manifest.json"},
		"file is folder":   {func(_ *run, at func(string) string) { must(os.Remove(at("a.csv"))); must(os.Mkdir(at("a.csv"), 0o755)) }, "refused|dirExtra a.csv|fileMissing a.csv"},
		"outside": {func(r *run, _ func(string) string) {
			r.write("../outside", "abc")
			r.manifest.Control = append(r.manifest.Control, record("../outside", "abc"))
			r.seal()
		}, "refused|pathDotdot ../outside"},
		"device": {func(r *run, _ func(string) string) {
			f := record("/dev/zero", "device")
			f.Size = 1<<53 - 1
			r.manifest.Control = append(r.manifest.Control, f)
			r.seal()
		}, "refused|pathAbsolute /dev/zero"},
		"twice": {func(r *run, _ func(string) string) {
			r.manifest.Control = append(r.manifest.Control, record("a.csv", "other"))
			r.seal()
		}, "refused|duplicateEntry a.csv"},
	} {
		r := newRun(t, example)
		c.damage(r, func(path string) string { return filepath.Join(r.root, path) })
		if got := judge(t, r.root); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

// A socket in the place of a file is not opened.
func TestSocket(t *testing.T) {
	r := newRun(t, example)
	t.Chdir(r.root) // the name of a socket has to be short
	if err := os.Remove("a.csv"); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", "a.csv")
	if err != nil {
		t.Skip(err)
	}
	defer listener.Close()
	if got, want := judge(t, "."), "refused|fileMissing a.csv|specialFile a.csv"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}

// What DIR names is looked at before anything in it.
func TestRoot(t *testing.T) {
	r := newRun(t, example)
	link := filepath.Join(filepath.Dir(r.root), "link")
	if err := os.Symlink(r.root, link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		r.root + "//":                       "verified",
		link:                                "refused|symlinkEntry .",
		link + "/":                          "refused|symlinkEntry .",
		r.root + "/a.csv":                   target.ErrNothing.Error(),
		r.root + "/none":                    target.ErrNothing.Error(),
		filepath.Join(r.root, "a.csv/x"):    target.ErrNothing.Error(),
		filepath.Join(link, "..", "run"):    "verified",
		r.root + "/" + string([]byte{0, 1}): target.ErrNothing.Error(),
	} {
		if got := judge(t, path); got != want {
			t.Errorf("%q: %s, not %s", path, got, want)
		}
	}
}

// A name that lies under another normalization is taken, with a warning; two spellings of it are not.
func TestNormalization(t *testing.T) {
	for _, c := range []struct {
		recorded string
		onDisk   map[string]string
		want     string
	}{
		{"\u00e9", map[string]string{"\u00e9": "x"}, "verified"},
		{"\u00e9", map[string]string{"e\u0301": "x"}, "verified|pathNormChanged \u00e9"},
		{"\u00e9", map[string]string{"e\u0301": "y", "\u00e9": "x"}, "refused|pathNormCollision \u00e9"},
		{"\u00e9", map[string]string{"e\u0301": "x", "\u00e9": "y"}, "refused|hashMismatch \u00e9|pathNormCollision \u00e9"},
		{"\u1ec7", map[string]string{"e\u0323\u0302": "x", "e\u0302\u0323": "y"}, "refused|hashMismatch \u1ec7|pathNormChanged \u1ec7|pathNormCollision \u1ec7"},
		{"\u1ec7", map[string]string{"e\u0323\u0302": "y", "e\u0302\u0323": "x"}, "refused|pathNormChanged \u1ec7|pathNormCollision \u1ec7"},
		{"\u00e9/a", map[string]string{"e\u0301/a": "x"}, "verified|pathNormChanged \u00e9/a"},
		{"\u00e9/a", map[string]string{"e\u0301/b": "x", "\u00e9/a": "x"}, "refused|fileExtra e\u0301/b|pathNormCollision \u00e9"},
	} {
		r := newRun(t, map[string]string{c.recorded: "x"})
		if err := os.RemoveAll(filepath.Join(r.root, strings.Split(c.recorded, "/")[0])); err != nil {
			t.Fatal(err)
		}
		for path, content := range c.onDisk {
			r.write(path, content)
		}
		if got := judge(t, r.root); got != c.want {
			t.Errorf("%+q on disk as %+q:\n got %+q\nwant %+q", c.recorded, c.onDisk, got, c.want)
		}
	}
}

// A folder of 64 components is not entered, and none above it is a fault of depth.
func TestDepth(t *testing.T) {
	deep := strings.Repeat("d/", 63)
	r := newRun(t, map[string]string{"a": "a", deep + "f": "x"})
	if got := judge(t, r.root); got != "verified" {
		t.Errorf("64 components: %s", got)
	}
	r.write(deep+"d/x", "y")
	if got, want := judge(t, r.root), "refused|pathTooDeep "+deep+"d"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}

// Where folders and files may not be read the verdict is incomplete, and nothing is missing.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("the superuser may read everything")
	}
	r := newRun(t, example)
	locked := []string{"b", "e/f/g"}
	for _, path := range locked {
		if err := os.Chmod(filepath.Join(r.root, path), 0); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(filepath.Join(r.root, path), 0o755)
	}
	if got, want := judge(t, r.root), "incomplete|? b|? e/f/g"; got != want {
		t.Errorf("got %s, not %s", got, want)
	}
}

// Of very many findings the first in order are listed, whatever the order of the folder, and the others are counted.
func TestMany(t *testing.T) {
	r := newRun(t, example)
	const extra = findings.Max + 500
	for i := range extra {
		r.write(fmt.Sprintf("x%06d", i), "")
	}
	r.write("a.csv", "")
	v, err := Directory(r.root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Findings) != findings.Max || v.Suppressed != extra+1-findings.Max || !v.Refused {
		t.Fatalf("%d findings and %d more", len(v.Findings), v.Suppressed)
	}
	if last := v.Findings[findings.Max-1].Path; last != fmt.Sprintf("x%06d", findings.Max-1) {
		t.Errorf("the last one listed is %s", last)
	}
}

// Both ways of computing digests give those of the whole bytes, and read at most one byte more than wanted.
func TestDigests(t *testing.T) {
	data := make([]byte, 3*files.LargeFile+17)
	for i := range data {
		data[i] = byte(i * i >> 7)
	}
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	h := files.NewHasher()
	for _, size := range []int{0, 1, files.BufferSize, files.LargeFile, files.LargeFile + 1, len(data) - 1, len(data), len(data) + 5} {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		length, blake, sha, err := h.File(int(file.Fd()), uint64(size))
		file.Close()
		part := data[:min(size+1, len(data))]
		sum := sha256.Sum256(part)
		if err != nil || length != uint64(len(part)) || blake != ids.Blob(part).String() || sha != hex.EncodeToString(sum[:]) {
			t.Errorf("size %d: %d bytes, %s, %s, %v", size, length, blake, sha, err)
		}
	}
}

// What takes the place of the run directory between its lookup and its opening is judged as what it is then.
func TestRunDirectoryThatChanges(t *testing.T) {
	defer func() { target.BeforeOpen = func(string) {} }()
	r := newRun(t, example)
	moved := r.root + "-moved"
	target.BeforeOpen = func(path string) {
		if err := errors.Join(os.Rename(path, moved), os.Symlink(moved, path)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := judge(t, r.root), "refused|symlinkEntry ."; got != want {
		t.Errorf("a link: got %s, not %s", got, want)
	}
	target.BeforeOpen = func(path string) {
		if err := os.Rename(path, path+"-gone"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Directory(moved, nil); !errors.Is(err, target.ErrNothing) {
		t.Errorf("nothing: got %v", err)
	}
}
