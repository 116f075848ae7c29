//! Enums whose values have names, in the database and on the wire.

/// Declares such an enum. A name that the database holds and the enum lacks is an error: a newer release may have
/// written it, and no default can be right.
macro_rules! named {
    (
        $(#[$about:meta])*
        $vis:vis enum $name:ident ($what:literal) {
            $($(#[$about_value:meta])* $value:ident = $text:literal,)+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $vis enum $name {
            $($(#[$about_value])* $value,)+
        }

        #[allow(dead_code, reason = "not every enum is read from everywhere")]
        impl $name {
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$value),+];

            /// The name of the value.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $text,)+
                }
            }

            /// The value with this name.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text)
            }

            /// The value with this name in the database.
            ///
            /// # Errors
            /// An internal error that quotes a name without a value.
            pub fn from_db(text: &str) -> $crate::base::error::Result<Self> {
                let unknown = || {
                    $crate::base::error::Error::internal(format!("the database has an unknown {}: {text:?}", $what))
                };
                Self::parse(text).ok_or_else(unknown)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, ser: S) -> std::result::Result<S::Ok, S::Error> {
                ser.serialize_str(self.as_str())
            }
        }
    };
}

pub(crate) use named;

#[cfg(test)]
mod tests {
    named! {
        /// A light.
        pub enum Light ("light") {
            Red = "red",
            Green = "green",
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_that_quotes_it() {
        for light in Light::ALL {
            assert_eq!(Light::from_db(light.as_str()).unwrap(), *light);
        }
        let unknown = Light::from_db("blue").unwrap_err();
        assert_eq!(unknown.to_string(), "internal: the database has an unknown light: \"blue\"");
        assert_eq!(serde_json::to_string(&Light::Green).unwrap(), "\"green\"");
    }
}
