//! Encodes a batch as NDJSON, one line for each row, without loss; or gives the reason why that is impossible.
//!
//! Pure, and the hot path. What is the same in every row of a load is prepared once in a [`Plan`]; for a row, fragments
//! are copied and values written without allocation. The body is never in memory as a whole: an [`Encoder`] fills pieces,
//! first into a counter that also checks every value and so gives the exact length, then into the buffer for the socket.
//! Both passes run the same code. Rows that are loaded in bulk are encoded once, into a buffer that checks them too.

mod date;
mod json;
mod literal;
mod number;
mod output;
mod plan;
mod problem;
mod rule;
mod text;
mod value;

use std::iter::FusedIterator;

pub(crate) use self::date::utc;
pub use self::{
    output::{Checked, Count, Output},
    plan::Plan,
    problem::{Problem, Refusal},
};
use self::{plan::Slot, rule::Rule, value::Rest};
use crate::{
    change::{TupleValues, Value},
    pipeline::Row,
    progress::Losses,
};

/// Encodes rows piece by piece.
#[derive(Debug)]
pub struct Encoder<'a, R> {
    plan: &'a Plan,
    rows: R,
    open: Option<Open<'a>>,
    written: u64,
    losses: Losses,
}

/// A row that is written in part.
#[derive(Debug)]
struct Open<'a> {
    row: Row<'a>,
    values: TupleValues<'a>,
    column: usize,
    key_bytes: usize,
    rest: Rest<'a>,
}

impl<'a, R: Iterator<Item = Row<'a>>> Encoder<'a, R> {
    pub fn new(plan: &'a Plan, rows: R) -> Encoder<'a, std::iter::Fuse<R>> {
        Encoder { plan, rows: rows.fuse(), open: None, written: 0, losses: Losses::default() }
    }
}

impl<'a, R: FusedIterator<Item = Row<'a>>> Encoder<'a, R> {
    /// Writes until `out` has `room` bytes or a little more, or there are no more rows.
    pub fn fill<O: Output>(&mut self, out: &mut O, room: usize) -> Result<(), Refusal> {
        while out.taken() < room {
            let Some(open) = self.open.as_mut() else {
                let Some(row) = self.rows.next() else { return Ok(()) };
                self.open = Some(Open::new(row));
                continue;
            };
            if open.write(self.plan, &mut self.losses, out, room)? {
                self.open = None;
                self.written += 1;
            }
        }
        Ok(())
    }

    /// As `fill`, and writes the last row to its end.
    pub fn fill_rows<O: Output>(&mut self, out: &mut O, room: usize) -> Result<(), Refusal> {
        self.fill(out, room)?;
        if let Some(mut open) = self.open.take() {
            while !open.write(self.plan, &mut self.losses, out, usize::MAX)? {}
            self.written += 1;
        }
        Ok(())
    }

    /// Rows that are completely written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The rows written, and the values altered, since this was asked last.
    pub fn take_counts(&mut self) -> (u64, Losses) {
        (std::mem::take(&mut self.written), std::mem::take(&mut self.losses))
    }

    /// Values that were altered by the job's rules.
    pub fn losses(&self) -> &Losses {
        &self.losses
    }
}

impl<'a> Open<'a> {
    fn new(row: Row<'a>) -> Self {
        Self { row, values: row.values.values(), column: 0, key_bytes: 0, rest: Rest::default() }
    }

    /// Returns whether the row is completely written.
    fn write<O: Output>(
        &mut self,
        plan: &Plan,
        losses: &mut Losses,
        out: &mut O,
        room: usize,
    ) -> Result<bool, Refusal> {
        loop {
            while !self.rest.write_some(out) {
                if out.taken() >= room {
                    return Ok(false);
                }
            }
            if out.taken() >= room {
                return Ok(false);
            }
            let Some(slot) = plan.slots.get(self.column) else { break };
            self.write_column(slot, losses, out)?;
            self.column += 1;
        }
        plan.close(self.row, out);
        self.check_key::<O>(plan)?;
        Ok(true)
    }

    fn write_column<O: Output>(
        &mut self,
        slot: &Option<Slot>,
        losses: &mut Losses,
        out: &mut O,
    ) -> Result<(), Refusal> {
        let refuse = |problem| Refusal { column: Some(self.column), problem };
        let value = self.values.next().ok_or(refuse(Problem::Missing))?;
        let Some(slot) = slot else { return Ok(()) };
        out.put(&slot.fragment);
        match value {
            Value::Text(text) => {
                let text = slot.key.map_or(text, |key| key.text(text));
                self.key_bytes += slot.key.map_or(0, |key| key.bytes(text));
                if slot.rule != Rule::Halt {
                    self.rest = write_by_rule(slot, text, losses, out).map_err(refuse)?;
                    return Ok(());
                }
                if O::CHECKS {
                    slot.form.check(text).map_err(refuse)?;
                }
                self.rest = slot.form.write(text, out);
            }
            Value::Null if slot.key.is_none() => out.put(b"null"),
            Value::Null => return Err(refuse(Problem::NullKey)),
            Value::Unchanged => return Err(refuse(Problem::Missing)),
        }
        Ok(())
    }

    fn check_key<O: Output>(&self, plan: &Plan) -> Result<(), Refusal> {
        let fits = !O::CHECKS || self.key_bytes <= plan.key_room;
        if fits { Ok(()) } else { Err(Refusal { column: None, problem: Problem::KeyTooLong }) }
    }
}

/// Writes a value, or its replacement by the job's rule. The output depends on the check, so both passes check.
fn write_by_rule<'a, O: Output>(
    slot: &Slot,
    text: &'a [u8],
    losses: &mut Losses,
    out: &mut O,
) -> Result<Rest<'a>, Problem> {
    let Err(problem) = slot.form.check(text) else { return Ok(slot.form.write(text, out)) };
    let instead = slot.rule.instead(slot.form, text, problem)?;
    losses.count(instead.loss);
    Ok(match instead.text {
        Some(text) => slot.form.write(text, out),
        None => {
            out.put(b"null");
            Rest::Nothing
        }
    })
}

#[cfg(test)]
mod tests;
