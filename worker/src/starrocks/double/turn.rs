//! What a frontend and a backend do with a connection.

use super::{Conversation, Turn};

pub(crate) fn turn(turn: impl FnOnce(&mut Conversation) + Send + 'static) -> Turn {
    Box::new(turn)
}

/// The frontend names a backend, and hears nothing more.
pub(crate) fn redirect() -> Turn {
    turn(|peer| {
        peer.head();
        let location = format!("http://127.0.0.1:{}/api/elsewhere", peer.port);
        peer.say(&format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        peer.expect_silence();
    })
}

/// The backend takes the body and answers.
pub(crate) fn take(json: &'static str) -> Turn {
    turn(move |peer| {
        let length = peer.head();
        peer.say("HTTP/1.1 100 Continue\r\n\r\n");
        peer.body(length);
        peer.answer(json);
    })
}

/// The backend answers instead of taking the body.
pub(crate) fn refuse(json: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(json);
        peer.expect_silence();
    })
}

/// The backend closes before it says a word.
pub(crate) fn hang_up() -> Turn {
    turn(|peer| {
        peer.head();
    })
}

/// What the frontend says of a label.
pub(crate) fn state(state: &'static str) -> Turn {
    turn(move |peer| {
        peer.head();
        peer.answer(&format!(
            r#"{{"state":"{state}","reason":"","status":"OK","code":"0","msg":"Success","message":"OK"}}"#
        ));
    })
}
