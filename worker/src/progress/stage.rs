//! Stage and state of the job.

use std::fmt;

/// What the worker is doing, with the values of the dbmazz contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Before the first session.
    Init,
    /// Connecting, checking, creating what is missing.
    Setup,
    /// Streaming changes.
    Cdc,
}

/// What the worker was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    Running,
    Paused,
    Draining,
    Stopped,
}

impl Stage {
    pub(super) fn of(number: u8) -> Self {
        match number {
            1 => Self::Setup,
            2 => Self::Cdc,
            _ => Self::Init,
        }
    }
}

impl State {
    pub(super) fn of(number: u8) -> Self {
        match number {
            1 => Self::Paused,
            2 => Self::Draining,
            3 => Self::Stopped,
            _ => Self::Running,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        })
    }
}
