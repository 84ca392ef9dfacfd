//! A verifier of omphalOS run directories, written from `docs/format/` and sharing no code with any other.
//!
//! Rules of this crate: every byte it is given is hostile. It follows no link, changes nothing, reads each file once from
//! one descriptor and no further than recorded, holds memory in proportion to the manifest and not to the folder, and
//! has no input on which it panics. It reads no clock, environment or locale.

pub mod attest;
pub mod bundle;
pub mod bundleindex;
pub mod catalog;
pub mod chunks;
pub mod disk;
pub mod findings;
pub mod ids;
pub mod keys;
pub mod manifest;
pub mod merkle;
pub mod msgpack;
pub mod paths;
pub mod proof;
mod reading;
pub mod segment;
pub mod store;
pub mod strictjson;
mod survey;
pub mod tarheader;
pub mod tree;
pub mod verdict;
pub mod verify;
