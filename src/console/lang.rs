//! The two languages of the console, and which one a reader gets.

/// A language. Every text of the console has both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    En,
    Zh,
}

impl Lang {
    /// The value of the attribute `lang`, of the parameter and of the cookie.
    pub const fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh",
        }
    }

    /// The value of the attribute `lang` of the page.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Zh => "zh-CN",
        }
    }

    pub const fn other(self) -> Self {
        match self {
            Self::En => Self::Zh,
            Self::Zh => Self::En,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "en" => Some(Self::En),
            "zh" => Some(Self::Zh),
            _ => None,
        }
    }

    /// The first language of an `Accept-Language` that the console has. Qualities are not compared: browsers send the
    /// languages in order.
    pub fn accepted(header: &str) -> Option<Self> {
        header.split(',').find_map(|one| {
            let tag = one.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            Self::parse(tag.split('-').next().unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_language_that_the_console_has_counts() {
        assert_eq!(Lang::accepted("zh-TW,zh;q=0.9,en;q=0.8"), Some(Lang::Zh));
        assert_eq!(Lang::accepted("de-DE, en;q=0.8, zh;q=0.7"), Some(Lang::En));
        assert_eq!(Lang::accepted("fr"), None);
        assert_eq!(Lang::accepted(""), None);
    }
}
