//! Reads the body as it arrives, then converts or only counts its rows.

use std::time::Instant;

use super::{Content, Load, Stop};
use crate::{
    fault::Stage,
    http::{Body, BodyError, Connection},
    plan::{LoadPlan, convert_body},
};

const MAX_BUFFERED: usize = 4 * 1024 * 1024 * 1024;

impl Load<'_> {
    /// Reads the body, and converts it unless rows are only counted. Once reading has begun, the whole body is read
    /// even if the load has already failed.
    pub(super) async fn read(
        &mut self,
        connection: &mut Connection,
        body: &mut Body,
        plan: LoadPlan,
    ) -> Result<Content, Stop> {
        let started = Instant::now();
        let options = &self.cluster.options;
        let is_kept = options.keep.as_ref().is_some_and(|start| self.table.starts_with(start.as_str()));
        let is_counted = options.discard && !is_kept;
        let mut kept = Vec::new();
        let (mut newlines, mut last, mut struck) = (0u64, b'\n', false);
        let half = body.length.unwrap_or(0) / 2;
        loop {
            if !struck && self.rows.bytes >= half.max(1) {
                struck = true;
                self.strike(Stage::Body).await?;
            }
            let piece = match body.next(connection).await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(BodyError::Malformed) => return Err(Stop::fail("the chunked body is malformed")),
                Err(BodyError::Lost(_)) => return Err(Stop::Silent),
            };
            self.rows.bytes += piece.len() as u64;
            if is_counted {
                newlines += memchr::memchr_iter(b'\n', &piece).count() as u64;
                last = piece.last().copied().unwrap_or(last);
            } else if kept.len() + piece.len() <= MAX_BUFFERED {
                kept.extend_from_slice(&piece);
            } else {
                return Err(Stop::fail("the body is larger than 4 GB"));
            }
        }
        self.times.read = started.elapsed();
        if is_counted {
            self.rows.total = newlines + u64::from(last != b'\n');
            self.rows.loaded = self.rows.total;
            return Ok(Content::Counted);
        }
        self.convert(kept, plan).await
    }

    /// Parsing takes CPU time, so it runs on a thread that may block.
    async fn convert(&mut self, body: Vec<u8>, plan: LoadPlan) -> Result<Content, Stop> {
        let started = Instant::now();
        let (profile, codec) = (self.cluster.profile(), self.codec);
        let work = tokio::task::spawn_blocking(move || {
            let plain = codec.map(|codec| codec.decode(&body, MAX_BUFFERED as u64)).transpose();
            let converted =
                plain.and_then(|plain| convert_body(&plan, plain.as_deref().unwrap_or(&body), profile));
            (plan, converted)
        });
        let (plan, converted) = work.await.map_err(|_| Stop::Silent)?;
        let converted = converted.map_err(Stop::fail)?;
        self.times.write = started.elapsed();
        Ok(Content::Converted(Box::new(plan), converted))
    }
}
