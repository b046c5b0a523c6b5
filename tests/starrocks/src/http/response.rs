//! Answers, and how they are written to the connection.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    TemporaryRedirect,
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    InternalServerError,
    NotImplemented,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::TemporaryRedirect => "307 Temporary Redirect",
            Self::BadRequest => "400 Bad Request",
            Self::Unauthorized => "401 Unauthorized",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::InternalServerError => "500 Internal Server Error",
            Self::NotImplemented => "501 Not Implemented",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: Status,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Whether the server closes the connection after this answer.
    pub(crate) closes: bool,
}

impl Response {
    pub(crate) fn new(status: Status, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, body: body.into(), closes: false }
    }

    pub(crate) fn json(body: impl Into<Vec<u8>>) -> Self {
        Self::new(Status::Ok, "application/json; charset=UTF-8", body)
    }

    pub(crate) fn html(status: Status, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "text/html", body)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        // Control characters are removed, so that a value from a request line cannot start another header.
        let value = value.chars().filter(|letter| !letter.is_control()).collect();
        self.headers.push((name, value));
        self
    }

    #[must_use]
    pub(crate) fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", self.status.line(), self.body.len());
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(if self.closes {
            "connection: close\r\n\r\n"
        } else {
            "connection: keep-alive\r\n\r\n"
        });
        // Heads are Latin-1 on the wire, as in a Java server.
        let mut bytes: Vec<u8> = head.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
