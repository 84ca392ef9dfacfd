//! What a verifier may report: the ids of `docs/findings.md` that these checks can raise, in the page's order.
//!
//! Rules of this file: an id has one severity; nothing else about a finding is fixed. The words of what was not
//! checked, and their sentences, are those of the page.

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It makes every other statement about the thing doubtful.
    Fatal,
    /// The thing is refused.
    Error,
    /// The thing is accepted, and a person should know.
    Warn,
}

impl Severity {
    /// Say whether a finding of this severity makes the verdict negative.
    pub fn refuses(self) -> bool {
        self != Severity::Warn
    }

    /// The severity as documents write it.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Fatal => "FATAL",
            Severity::Error => "ERROR",
            Severity::Warn => "WARN",
        }
    }
}

macro_rules! findings {
    ($($name:ident $word:literal $severity:ident)*) => {
        /// The id of a finding; the order is that of `docs/findings.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs)] // each is described in docs/findings.md
        pub enum Id { $($name),* }

        impl Id {
            /// Every id, in order.
            pub const ALL: &'static [Id] = &[$(Id::$name),*];

            /// The id as text.
            pub fn word(self) -> &'static str {
                match self { $(Id::$name => $word),* }
            }

            /// The one severity of the id.
            pub fn severity(self) -> Severity {
                match self { $(Id::$name => Severity::$severity),* }
            }
        }
    };
}

findings! {
    PathAbsolute "pathAbsolute" Error
    PathDotdot "pathDotdot" Error
    PathBackslash "pathBackslash" Error
    PathEmptyComponent "pathEmptyComponent" Error
    PathSlash "pathSlash" Error
    PathControl "pathControl" Error
    PathInvisible "pathInvisible" Warn
    PathReserved "pathReserved" Error
    PathTrailing "pathTrailing" Error
    PathStream "pathStream" Error
    PathOwnDir "pathOwnDir" Error
    PathCaseCollision "pathCaseCollision" Error
    PathNormCollision "pathNormCollision" Error
    PathNotNfc "pathNotNFC" Error
    PathNormChanged "pathNormChanged" Warn
    PathTooLong "pathTooLong" Error
    PathTooDeep "pathTooDeep" Error
    PathFileDir "pathFileDir" Error
    NotUtf8 "notUtf8" Error
    DuplicateEntry "duplicateEntry" Error
    Unsorted "unsorted" Error
    SymlinkEntry "symlinkEntry" Error
    HardlinkEntry "hardlinkEntry" Error
    SpecialFile "specialFile" Error
    ArchiveEscape "archiveEscape" Error
    ArchiveMalformed "archiveMalformed" Error
    EndlessData "endlessData" Error
    TrailingGarbage "trailingGarbage" Error
    Truncated "truncated" Error
    Toctou "toctou" Error
    HashMismatch "hashMismatch" Error
    SizeMismatch "sizeMismatch" Error
    HashDisagree "hashDisagree" Fatal
    FileMissing "fileMissing" Error
    FileExtra "fileExtra" Error
    DirExtra "dirExtra" Error
    TypeMismatch "typeMismatch" Error
    TreeMalformed "treeMalformed" Error
    TreeTooLarge "treeTooLarge" Error
    ProofMalformed "proofMalformed" Error
    InclusionInvalid "inclusionInvalid" Error
    RootMismatch "rootMismatch" Error
    EnvelopeMalformed "envelopeMalformed" Error
    Base64Malformed "base64Malformed" Error
    StatementMalformed "statementMalformed" Error
    SubjectMismatch "subjectMismatch" Error
    SignatureInvalid "signatureInvalid" Error
    SignatureMissing "signatureMissing" Error
    JsonDuplicateKey "jsonDuplicateKey" Fatal
    JsonKeyCase "jsonKeyCase" Error
    JsonUnknownField "jsonUnknownField" Error
    JsonNumber "jsonNumber" Error
    JsonEncoding "jsonEncoding" Error
    JsonSyntax "jsonSyntax" Error
    JsonTooLarge "jsonTooLarge" Error
    MsgpackSyntax "msgpackSyntax" Error
    MsgpackNotCanonical "msgpackNotCanonical" Error
    OversizeLength "oversizeLength" Error
    ManifestMissing "manifestMissing" Error
    ManifestVersion "manifestVersion" Error
    ManifestSchema "manifestSchema" Error
    ManifestNotCanonical "manifestNotCanonical" Error
    NameInvalid "nameInvalid" Error
    CreatedInvalid "createdInvalid" Error
    RunIdMismatch "runIdMismatch" Error
    PlanMismatch "planMismatch" Error
    InputMismatch "inputMismatch" Error
    InputSource "inputSource" Error
    ConfigMissing "configMissing" Error
    TreeMismatch "treeMismatch" Error
    MerkleMismatch "merkleMismatch" Error
    ReportMissing "reportMissing" Error
    ObjectMissing "objectMissing" Error
    ObjectDamaged "objectDamaged" Error
    RefDangling "refDangling" Error
    RefMalformed "refMalformed" Error
    RefMismatch "refMismatch" Error
    KindUnknown "kindUnknown" Error
}

/// What a proof does not show where neither a root nor a key was given.
pub const NO_ROOT: (&str, &str) = (
    "root",
    "No root was given and no key, so whether the root is that of a real run was not checked.",
);

/// What a check of a directory does not cover: word and sentence.
pub const NOT_CHECKED: [(&str, &str); 7] = [
    (
        "signatures",
        "No key was given, so no signature was checked.",
    ),
    (
        "ledger",
        "No ledger was given, so whether this run was made public at its time was not checked.",
    ),
    (
        "recomputation",
        "The results were not computed again; `omphalos certify` does that.",
    ),
    (
        "meaning",
        "Whether the data is true and the matches are right is not for this check to say.",
    ),
    (
        "inputsAuthenticity",
        "Whether the inputs are what their publishers issued was not checked.",
    ),
    (
        "policy",
        "No policy was evaluated again; recorded policy results were checked as bytes only.",
    ),
    (
        "fingerprints",
        "Tables were checked as bytes; fingerprints need deep mode.",
    ),
];
