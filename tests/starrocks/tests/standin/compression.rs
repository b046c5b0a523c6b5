//! Compressed bodies (S24).

use std::io::Write;

use crate::bed::Bed;

fn compressed(codec: &str, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    match codec {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).expect("writes");
            encoder.finish().expect("finishes")
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).expect("writes");
            encoder.finish().expect("finishes")
        }
        "bzip2" => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).expect("writes");
            encoder.finish().expect("finishes")
        }
        "lz4" => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(text).expect("writes");
            encoder.finish().expect("finishes")
        }
        "zstd" => ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest),
        _ => panic!("no such codec: {codec}"),
    }
}

const CODECS: [&str; 5] = ["gzip", "deflate", "bzip2", "lz4", "zstd"];

async fn bed() -> Bed {
    Bed::with_table("id BIGINT NOT NULL, v VARCHAR(20)").await
}

#[tokio::test]
async fn s24_compressed_csv_is_a_format() {
    let bed = bed().await;
    for (id, codec) in CODECS.into_iter().enumerate() {
        let body = compressed(codec, &format!("{id}\t{codec}\n"));
        let answer = bed.load(&format!("format: {}", codec.to_uppercase()), body).await;
        assert_eq!(answer.field("Status"), "Success", "{codec}: {}", answer.body);
    }
    assert_eq!(bed.lines("SELECT v FROM d.t ORDER BY id").await, CODECS);
}

#[tokio::test]
async fn s24_compressed_json_is_a_header() {
    let bed = bed().await;
    for (id, codec) in CODECS.into_iter().enumerate() {
        let name = if codec == "lz4" { "lz4_frame" } else { codec };
        let header = if id % 2 == 0 { "compression" } else { "Content-Encoding" };
        let body = compressed(codec, &format!("{{\"id\":{id},\"v\":\"{codec}\"}}"));
        let answer = bed.load(&format!("{header}: {name}"), body).await;
        assert_eq!(answer.field("Status"), "Success", "{codec}: {}", answer.body);
    }
    assert_eq!(bed.lines("SELECT v FROM d.t ORDER BY id").await, CODECS);
}

#[tokio::test]
async fn s24_the_compression_header_is_not_heard_for_csv() {
    let bed = bed().await;
    let answer = bed.load("format: csv\ncompression: gzip", compressed("gzip", "1\ta\n")).await;
    assert_eq!(answer.field("Message"), "too many filtered rows", "compressed bytes are taken for text");
    assert_eq!(bed.load("format: csv\ncompression: gzip", "1\ta\n").await.field("Status"), "Success");
}

#[tokio::test]
async fn s24_what_is_not_compressed_or_not_known_fails() {
    let bed = bed().await;
    let cases = [
        ("compression: snappy9", "Unsupported compression type: snappy9"),
        (
            "compression: gzip\ncontent-encoding: gzip",
            "Only one of http header content-encoding and compression can be set",
        ),
        ("compression: gzip", "Failed to decompress"),
        ("compression: zstd", "Failed to decompress"),
    ];
    for (headers, message) in cases {
        let answer = bed.load(headers, r#"{"id":1}"#).await;
        assert!(answer.field("Message").contains(message), "{headers}: {}", answer.body);
    }
}
