//! The few fields of a message that decide where it goes, and where in it they may stand.

use std::ops::Range;

/// A field whose place is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Id,
    Method,
    Params,
    Result,
    Error,
    Name,
    Uri,
    TaskId,
    RequestId,
    ProgressToken,
    ProtocolVersion,
    RequestState,
    MetaVersion,
    MetaProgressToken,
    ResultType,
    ResultVersion,
    ResultSupported,
    ResultCapabilities,
    ResultRequestState,
    ErrorCode,
    ErrorMessage,
    Notifications,
    JsonRpc,
    Level,
    Meta,
}

const FIELDS: usize = Field::Meta as usize + 1;

/// Where the noted fields lie.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    places: [(u32, u32); FIELDS],
    has_breaks: bool,
}

impl Fields {
    /// The field's value, quotes included, if it was there.
    pub(crate) fn get(&self, field: Field) -> Option<Range<usize>> {
        let (start, end) = self.places[field as usize];
        (end != 0).then_some(start as usize..end as usize)
    }

    /// Whether there are line breaks between tokens; a checked text has none inside of them.
    pub(crate) fn has_breaks(&self) -> bool {
        self.has_breaks
    }

    /// Notes that there are.
    pub(crate) fn note_breaks(&mut self) {
        self.has_breaks = true;
    }

    /// Notes a place; whether it is the first one of this field.
    pub(crate) fn set(&mut self, field: Field, range: &Range<usize>) -> bool {
        let slot = &mut self.places[field as usize];
        let fresh = slot.1 == 0;
        // Messages are capped far below 4 GiB; a longer one was refused before it came here.
        *slot = (u32::try_from(range.start).unwrap_or(0), u32::try_from(range.end).unwrap_or(0));
        fresh
    }
}

/// Which object is being read, as far as its fields matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Top,
    Params,
    Meta,
    Result,
    Error,
    Other,
}

/// A key, the field that it names, and what its value is.
pub(crate) type Row = (&'static str, Field, Place);

impl Place {
    /// The keys that count here.
    pub(crate) fn fields(self) -> &'static [Row] {
        match self {
            Self::Top => TOP,
            Self::Params => PARAMS,
            Self::Meta => META,
            Self::Result => RESULT,
            Self::Error => ERROR,
            Self::Other => &[],
        }
    }
}

const TOP: &[Row] = &[
    ("id", Field::Id, Place::Other),
    ("method", Field::Method, Place::Other),
    ("params", Field::Params, Place::Params),
    ("result", Field::Result, Place::Result),
    ("error", Field::Error, Place::Error),
    ("jsonrpc", Field::JsonRpc, Place::Other),
];
const PARAMS: &[Row] = &[
    ("name", Field::Name, Place::Other),
    ("_meta", Field::Meta, Place::Meta),
    ("uri", Field::Uri, Place::Other),
    ("taskId", Field::TaskId, Place::Other),
    ("requestId", Field::RequestId, Place::Other),
    ("progressToken", Field::ProgressToken, Place::Other),
    ("protocolVersion", Field::ProtocolVersion, Place::Other),
    ("requestState", Field::RequestState, Place::Other),
    ("notifications", Field::Notifications, Place::Other),
    ("level", Field::Level, Place::Other),
];
const META: &[Row] = &[
    ("io.modelcontextprotocol/protocolVersion", Field::MetaVersion, Place::Other),
    ("progressToken", Field::MetaProgressToken, Place::Other),
];
const RESULT: &[Row] = &[
    ("resultType", Field::ResultType, Place::Other),
    ("protocolVersion", Field::ResultVersion, Place::Other),
    ("supportedVersions", Field::ResultSupported, Place::Other),
    ("capabilities", Field::ResultCapabilities, Place::Other),
    ("requestState", Field::ResultRequestState, Place::Other),
];
const ERROR: &[Row] =
    &[("code", Field::ErrorCode, Place::Other), ("message", Field::ErrorMessage, Place::Other)];
