//! The body of a load: checked and measured once, then encoded again for each attempt.

use crate::{
    config::{Deletes, Values},
    fault::Fault,
    pipeline::Batch,
    progress::Losses,
    starrocks::encode::{Count, Encoder, Output, Plan, Refusal},
};

/// Bytes that are encoded before the task yields, and written to the socket at once. Forty tables may be loading, each
/// with a piece of its own.
const PIECE: usize = 30 * 1024;
/// Capacity of a piece, which may exceed `PIECE` by the end of its last row.
const ROOM: usize = 32 * 1024;

/// What the body of one request has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content<'a> {
    /// Encoded while it is sent.
    Measured(&'a Body<'a>),
    /// Whole lines.
    Encoded { plan: &'a Plan, lines: &'a [u8], rows: u64 },
}

impl Content<'_> {
    pub(crate) fn plan(&self) -> &Plan {
        match self {
            Self::Measured(body) => body.plan(),
            Self::Encoded { plan, .. } => plan,
        }
    }

    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Measured(body) => body.length(),
            Self::Encoded { lines, .. } => lines.len() as u64,
        }
    }

    pub(crate) fn rows(&self) -> u64 {
        match self {
            Self::Measured(body) => body.rows(),
            Self::Encoded { rows, .. } => *rows,
        }
    }
}

/// A batch whose values have all been checked to be representable in StarRocks.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    plan: Plan,
    batch: &'a Batch,
    length: u64,
    rows: u64,
    losses: Losses,
}

impl<'a> Body<'a> {
    /// Checks every value and counts the bytes.
    pub(crate) async fn measure(batch: &'a Batch, deletes: Deletes, values: Values) -> Result<Self, Fault> {
        let plan = Plan::new(batch.table(), batch.columns(), deletes, values, batch.synced_at());
        let (length, rows, losses) = count(&plan, batch).await?;
        Ok(Self { plan, batch, length, rows, losses })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Values that are altered by the job's rules.
    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Returns a function that encodes the next piece into a reused buffer; the piece after the last one is empty.
    pub(crate) fn pieces(&self) -> impl FnMut(&mut Vec<u8>) -> Result<(), Refusal> + Send {
        let mut encoder = Encoder::new(&self.plan, self.batch.rows());
        move |piece| {
            piece.clear();
            piece.reserve(ROOM);
            encoder.fill(piece, PIECE)
        }
    }
}

/// The bytes, rows and altered values of the body.
async fn count(plan: &Plan, batch: &Batch) -> Result<(u64, u64, Losses), Fault> {
    let (mut encoder, mut length) = (Encoder::new(plan, batch.rows()), 0);
    loop {
        let mut piece = Count::default();
        encoder.fill(&mut piece, PIECE).map_err(|refusal| refusal.fault(batch.table()))?;
        if piece.taken() == 0 {
            return Ok((length, encoder.written(), *encoder.losses()));
        }
        length += piece.taken() as u64;
        tokio::task::yield_now().await;
    }
}
