//! Frames: a size, a header, a body. Requests come in, answers go out, and for clients the other
//! way round.

use bytes::Bytes;
use strandline_types::ErrorCode;

use crate::messages::{ApiKey, Message, Request, RequestHeader, ResponseHeader};
use crate::{DecodeError, EncodeError, Gathered, Reader, Writer};

/// Bytes of the size in front of every frame.
pub const SIZE_BYTES: usize = 4;

/// Most answers are smaller; larger ones grow the buffer a few times.
const TYPICAL_BYTES: usize = 256;

/// Why a frame cannot be served: the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {size} bytes, 0 to {max} are allowed")]
    BadSize { size: i32, max: u32 },
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    #[error("{api} has no version {version}")]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("header: {0}")]
    BadHeader(DecodeError),
    #[error("{api} version {version}: {error}")]
    BadBody { api: ApiKey, version: i16, error: DecodeError },
}

/// The size of the frame that follows these four bytes.
pub fn size(prefix: [u8; SIZE_BYTES], max: u32) -> Result<u32, FrameError> {
    let size = i32::from_be_bytes(prefix);
    match u32::try_from(size) {
        Ok(bytes) if bytes <= max => Ok(bytes),
        _ => Err(FrameError::BadSize { size, max }),
    }
}

/// A request whose body has not been read.
#[derive(Clone, PartialEq, Debug)]
pub struct Incoming {
    pub api: ApiKey,
    pub version: i16,
    pub correlation_id: i32,
    /// Kafka treats a missing client id as an empty one.
    pub client_id: String,
    body: Bytes,
}

impl Incoming {
    /// Reads the header of a frame whose size has been taken off.
    ///
    /// An ApiVersions request of a version we do not know is let through, see
    /// [`Incoming::is_supported`]: its answer tells the client which versions to use instead.
    pub fn parse(frame: &Bytes) -> Result<Self, FrameError> {
        let mut peek = Reader::new(frame);
        let code = peek.i16().map_err(FrameError::BadHeader)?;
        let version = peek.i16().map_err(FrameError::BadHeader)?;
        let api = ApiKey::from_code(code).ok_or(FrameError::UnknownApi(code))?;
        if !api.versions().contains(version) && api != ApiKey::ApiVersions {
            return Err(FrameError::UnsupportedVersion { api, version });
        }
        let mut reader = Reader::new(frame);
        let header = RequestHeader::decode(&mut reader, api.request_header_version(version))
            .map_err(FrameError::BadHeader)?;
        Ok(Self {
            api,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.unwrap_or_default(),
            body: reader.rest(),
        })
    }

    pub fn is_supported(&self) -> bool {
        self.api.versions().contains(self.version)
    }

    pub fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Reads the body. Bytes behind its last field are ignored, as Kafka ignores them.
    pub fn decode<R: Request>(&self) -> Result<R, FrameError> {
        debug_assert_eq!(R::KEY, self.api);
        R::decode(&mut Reader::new(&self.body), self.version).map_err(|error| FrameError::BadBody {
            api: self.api,
            version: self.version,
            error,
        })
    }
}

/// A whole request frame, its size in front.
pub fn request<R: Request>(
    body: &R,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<Gathered, EncodeError> {
    let header = RequestHeader {
        request_api_key: R::KEY.code(),
        request_api_version: version,
        correlation_id,
        client_id: client_id.map(str::to_owned),
        ..Default::default()
    };
    let mut writer = Writer::for_frame(TYPICAL_BYTES);
    header.encode(&mut writer, R::KEY.request_header_version(version))?;
    body.encode(&mut writer, version)?;
    writer.finish_frame()
}

/// A whole answer frame, its size in front.
pub fn response<M: Message>(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: &M,
) -> Result<Gathered, EncodeError> {
    let header = ResponseHeader { correlation_id, ..Default::default() };
    let mut writer = Writer::for_frame(TYPICAL_BYTES);
    header.encode(&mut writer, api.response_header_version(version))?;
    body.encode(&mut writer, version)?;
    writer.finish_frame()
}

/// The correlation id of an answer frame whose size has been taken off.
pub fn correlation_id(frame: &Bytes) -> Result<i32, DecodeError> {
    Reader::new(frame).i32()
}

/// Reads an answer frame whose size has been taken off.
pub fn decode_response<R: Request>(
    frame: &Bytes,
    version: i16,
) -> Result<R::Response, DecodeError> {
    let mut reader = Reader::new(frame);
    ResponseHeader::decode(&mut reader, R::KEY.response_header_version(version))?;
    R::Response::decode(&mut reader, version)
}

/// Whether an ApiVersions answer says that the broker does not know the version asked for: such an
/// answer is always in version 0, whatever the request was.
pub fn refuses_api_versions(frame: &Bytes) -> bool {
    let mut reader = Reader::new(frame);
    let code = reader.i32().and_then(|_| reader.error_code());
    code == Ok(ErrorCode::UNSUPPORTED_VERSION)
}
