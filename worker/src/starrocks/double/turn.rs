//! The turns of frontends and backends.

use super::{Conversation, Turn};

pub(crate) fn turn(turn: impl FnOnce(&mut Conversation) + Send + 'static) -> Turn {
    Box::new(turn)
}

/// The frontend redirects to a backend.
pub(crate) fn redirect() -> Turn {
    turn(|peer| {
        peer.head();
        let location = format!("http://127.0.0.1:{}/api/elsewhere", peer.port);
        peer.say(&format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        peer.expect_silence();
    })
}

/// The backend reads the body and answers.
pub(crate) fn take(json: &'static str) -> Turn {
    turn(move |peer| {
        let length = peer.head();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(length);
        peer.answer(json);
    })
}

/// The backend answers instead of reading the body.
pub(crate) fn refuse(json: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(json);
        peer.expect_silence();
    })
}

/// The backend closes the connection without an answer.
pub(crate) fn hang_up() -> Turn {
    turn(|peer| {
        peer.head();
    })
}

/// The frontend answers a request for the state of a label.
pub(crate) fn state(state: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(&format!(
            r#"{{"state":"{state}","reason":"","status":"OK","code":"0","msg":"Success","message":"OK"}}"#
        ));
    })
}
