// Package findings holds the ids a verifier may report (docs/findings.md), their severities, and a bounded list of them.
package findings

import (
	"cmp"
	"slices"
)

// ID is the stable name of one kind of finding.
type ID string

// The ids this program can report. Their order is that of docs/findings.md, in which findings about one name are listed.
const (
	PathAbsolute         ID = "pathAbsolute"
	PathDotdot           ID = "pathDotdot"
	PathBackslash        ID = "pathBackslash"
	PathEmptyComponent   ID = "pathEmptyComponent"
	PathSlash            ID = "pathSlash"
	PathControl          ID = "pathControl"
	PathInvisible        ID = "pathInvisible"
	PathReserved         ID = "pathReserved"
	PathTrailing         ID = "pathTrailing"
	PathStream           ID = "pathStream"
	PathOwnDir           ID = "pathOwnDir"
	PathCaseCollision    ID = "pathCaseCollision"
	PathNormCollision    ID = "pathNormCollision"
	PathNotNFC           ID = "pathNotNFC"
	PathNormChanged      ID = "pathNormChanged"
	PathTooLong          ID = "pathTooLong"
	PathTooDeep          ID = "pathTooDeep"
	PathFileDir          ID = "pathFileDir"
	NotUTF8              ID = "notUtf8"
	DuplicateEntry       ID = "duplicateEntry"
	Unsorted             ID = "unsorted"
	SymlinkEntry         ID = "symlinkEntry"
	SpecialFile          ID = "specialFile"
	HardlinkEntry        ID = "hardlinkEntry"
	ArchiveEscape        ID = "archiveEscape"
	ArchiveMalformed     ID = "archiveMalformed"
	EndlessData          ID = "endlessData"
	TrailingGarbage      ID = "trailingGarbage"
	Truncated            ID = "truncated"
	Toctou               ID = "toctou"
	HashMismatch         ID = "hashMismatch"
	SizeMismatch         ID = "sizeMismatch"
	HashDisagree         ID = "hashDisagree"
	FileMissing          ID = "fileMissing"
	FileExtra            ID = "fileExtra"
	DirExtra             ID = "dirExtra"
	TypeMismatch         ID = "typeMismatch"
	TreeMalformed        ID = "treeMalformed"
	TreeTooLarge         ID = "treeTooLarge"
	ProofMalformed       ID = "proofMalformed"
	InclusionInvalid     ID = "inclusionInvalid"
	RootMismatch         ID = "rootMismatch"
	EnvelopeMalformed    ID = "envelopeMalformed"
	Base64Malformed      ID = "base64Malformed"
	StatementMalformed   ID = "statementMalformed"
	SubjectMismatch      ID = "subjectMismatch"
	SignatureInvalid     ID = "signatureInvalid"
	SignatureMissing     ID = "signatureMissing"
	JSONDuplicateKey     ID = "jsonDuplicateKey"
	JSONKeyCase          ID = "jsonKeyCase"
	JSONUnknownField     ID = "jsonUnknownField"
	JSONNumber           ID = "jsonNumber"
	JSONEncoding         ID = "jsonEncoding"
	JSONSyntax           ID = "jsonSyntax"
	JSONTooLarge         ID = "jsonTooLarge"
	MsgpackSyntax        ID = "msgpackSyntax"
	MsgpackNotCanonical  ID = "msgpackNotCanonical"
	OversizeLength       ID = "oversizeLength"
	ManifestMissing      ID = "manifestMissing"
	ManifestVersion      ID = "manifestVersion"
	ManifestSchema       ID = "manifestSchema"
	ManifestNotCanonical ID = "manifestNotCanonical"
	NameInvalid          ID = "nameInvalid"
	CreatedInvalid       ID = "createdInvalid"
	RunIDMismatch        ID = "runIdMismatch"
	PlanMismatch         ID = "planMismatch"
	InputMismatch        ID = "inputMismatch"
	InputSource          ID = "inputSource"
	ConfigMissing        ID = "configMissing"
	TreeMismatch         ID = "treeMismatch"
	MerkleMismatch       ID = "merkleMismatch"
	ReportMissing        ID = "reportMissing"
	ObjectMissing        ID = "objectMissing"
	ObjectDamaged        ID = "objectDamaged"
	RefDangling          ID = "refDangling"
	RefMalformed         ID = "refMalformed"
	RefMismatch          ID = "refMismatch"
	KindUnknown          ID = "kindUnknown"
)

// Severity says how bad a finding is. FATAL and ERROR refuse what was checked.
func (id ID) Severity() string {
	switch id {
	case HashDisagree, JSONDuplicateKey:
		return "FATAL"
	case PathInvisible, PathNormChanged:
		return "WARN"
	}
	return "ERROR"
}

// Refuses says whether a finding of this id makes a verdict negative.
func (id ID) Refuses() bool {
	severity := id.Severity()
	return severity == "FATAL" || severity == "ERROR"
}

// Finding is one line of a report: what, where, and in words.
type Finding struct {
	ID     ID
	Path   string
	Detail string
}

// Compare orders findings by id and path, each in byte order. Two that are equal in both are one finding.
func Compare(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Path, b.Path))
}

// Max is the number of findings a report lists at most; the others are counted.
const Max = 10_000

type pair struct {
	id   ID
	path string
}

// List collects findings in bounded memory. Of more than Max findings it keeps the first in order, whatever the order
// in which they came, so that a report does not depend on the order in which a file system lists a folder.
type List struct {
	kept       []Finding
	have       map[pair]struct{}
	refused    bool
	suppressed int
}

// Add takes a finding; one that is there already is dropped.
func (l *List) Add(id ID, path, detail string) {
	l.refused = l.refused || id.Refuses()
	if l.have == nil {
		l.have = make(map[pair]struct{})
	}
	if _, there := l.have[pair{id, path}]; there {
		return
	}
	l.have[pair{id, path}] = struct{}{}
	l.kept = append(l.kept, Finding{id, path, detail})
	if len(l.kept) >= 2*Max {
		l.trim()
	}
}

func (l *List) trim() {
	slices.SortFunc(l.kept, Compare)
	if len(l.kept) <= Max {
		return
	}
	for _, f := range l.kept[Max:] {
		delete(l.have, pair{f.ID, f.Path})
	}
	l.suppressed += len(l.kept) - Max
	clear(l.kept[Max:])
	l.kept = l.kept[:Max]
}

// Close returns the findings in order, and how many more there were.
func (l *List) Close() ([]Finding, int) {
	l.trim()
	return l.kept, l.suppressed
}

// Refused says whether any finding, listed or not, makes the verdict negative.
func (l *List) Refused() bool { return l.refused }
