//! A door for the fuzzer: the reader's way from bytes to blocks, without a socket.

use super::frame_buffer::FrameBuffer;
use crate::{
    change::Block,
    postgres::{Router, visibility::Visibility},
    schema_history::SchemaHistory,
    table::Table,
};

/// The blocks of a stream that comes in pieces of at most `step` bytes; `copied` says in which envelope.
pub fn blocks(mut bytes: &[u8], step: usize, copied: bool, tables: &[Table]) -> Result<Vec<Block>, String> {
    let tables = tables.iter().map(|table| (table.clone(), SchemaHistory::default()));
    let mut router = Router::new(tables, Visibility::parse("10:10:").unwrap_or_default());
    let start = Vec::new();
    let mut frames = if copied { FrameBuffer::copying(start) } else { FrameBuffer::starting_with(start) };
    let mut blocks = Vec::new();
    while !bytes.is_empty() {
        let space = frames.space();
        let count = space.len().min(step.max(1)).min(bytes.len());
        let (now, later) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
        space.iter_mut().zip(now).for_each(|(room, byte)| *room = *byte);
        bytes = later;
        frames.filled(count);
        frames.digest(&mut router).map_err(|error| error.to_string())?;
        blocks.extend(frames.take());
    }
    Ok(blocks)
}
