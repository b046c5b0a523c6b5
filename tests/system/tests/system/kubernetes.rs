use anyhow as _;
