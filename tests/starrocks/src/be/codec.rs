//! Compressed bodies: `format: lz4` for CSV, `compression: …` for JSON (§4).

use std::io::Read;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Bzip2,
    Lz4,
    Deflate,
    Zstd,
}

impl Codec {
    /// The codec that a value of the header `format` names.
    pub(super) fn of_format(name: &str) -> Option<Self> {
        Some(match name {
            "gzip" => Self::Gzip,
            "bzip2" => Self::Bzip2,
            "lz4" => Self::Lz4,
            "deflate" => Self::Deflate,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// The codec that a value of the header `compression` names.
    pub(super) fn of_compression(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "lz4_frame" => Some(Self::Lz4),
            "lz4" => None,
            name => Self::of_format(name),
        }
    }

    /// Decompresses the body to at most `limit` bytes.
    pub(crate) fn decode(self, body: &[u8], limit: u64) -> Result<Vec<u8>, String> {
        match self {
            Self::Gzip => read(flate2::read::MultiGzDecoder::new(body), limit),
            Self::Deflate => read(flate2::read::ZlibDecoder::new(body), limit),
            Self::Bzip2 => read(bzip2::read::MultiBzDecoder::new(body), limit),
            Self::Lz4 => read(lz4_flex::frame::FrameDecoder::new(body), limit),
            Self::Zstd => {
                let decoder = ruzstd::decoding::StreamingDecoder::new(body);
                read(decoder.map_err(|error| failed(&error))?, limit)
            }
        }
    }
}

fn read(decoder: impl Read, limit: u64) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut plain).map_err(|error| failed(&error))?;
    if plain.len() as u64 > limit {
        return Err(format!("the decompressed body is larger than {limit} bytes"));
    }
    Ok(plain)
}

fn failed(error: &dyn std::error::Error) -> String {
    format!("Failed to decompress the body: {error}")
}
