//! The archive of an image: an OCI layout that `docker load` accepts too.

use std::{fs::File, io::BufWriter, path::Path};

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tar::Builder;

use super::{NONROOT, layer, layer::Blob};

/// Writes the archive and returns the digest of the manifest.
pub(super) fn write(file: &Path, reference: &str, entrypoint: &str, layers: &[Blob]) -> Result<String> {
    let config = json_blob(&config(entrypoint, layers));
    let manifest = json_blob(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Vec<_>>(),
    }));
    let index = index(reference, &manifest);
    let docker = json!([{
        "Config": blob_path(&config),
        "RepoTags": [reference],
        "Layers": layers.iter().map(blob_path).collect::<Vec<_>>(),
    }]);
    let opened = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let mut tar = Builder::new(BufWriter::new(opened));
    for folder in ["blobs/", "blobs/sha256/"] {
        layer::append(&mut tar, folder, 0o755, None)?;
    }
    for blob in layers.iter().chain([&config, &manifest]) {
        layer::append(&mut tar, &blob_path(blob), 0o644, Some(&blob.content))?;
    }
    for (name, value) in [
        ("index.json", &index),
        ("manifest.json", &docker),
        ("oci-layout", &json!({"imageLayoutVersion": "1.0.0"})),
    ] {
        layer::append(&mut tar, name, 0o644, Some(value.to_string().as_bytes()))?;
    }
    tar.into_inner()?.into_inner().context("cannot finish the archive")?;
    Ok(manifest.digest)
}

fn config(entrypoint: &str, layers: &[Blob]) -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": format!("{NONROOT}:{NONROOT}"),
            "Entrypoint": [entrypoint],
            "Env": ["PATH=/usr/local/bin"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>()},
    })
}

fn index(reference: &str, manifest: &Blob) -> Value {
    let mut descriptor = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    let tag = reference.rsplit_once(':').map_or(reference, |(_, tag)| tag);
    descriptor["annotations"] =
        json!({"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": tag});
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [descriptor]})
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({"mediaType": media_type, "digest": blob.digest, "size": blob.content.len()})
}

fn json_blob(value: &Value) -> Blob {
    Blob::new(value.to_string().into_bytes())
}

fn blob_path(blob: &Blob) -> String {
    format!("blobs/{}", blob.digest.replace(':', "/"))
}
