//! Every text of the console in both languages, a file a part. A text that lacks one does not compile.

mod developer;
mod operations;
mod sign_in;
mod support;
mod upkeep;

pub use developer::DeveloperTexts;
pub use operations::OperationsTexts;
pub use support::Texts;
pub use upkeep::Upkeep;

/// The texts of one part: a struct with a field a text, and the method of `Lang` that returns it.
macro_rules! texts {
    ($texts:ident, $of:ident; $($name:ident: $en:literal, $zh:literal;)+) => {
        /// The texts of one language.
        #[derive(Debug)]
        pub struct $texts {
            $(pub $name: &'static str,)+
        }

        const EN: $texts = $texts { $($name: $en,)+ };
        const ZH: $texts = $texts { $($name: $zh,)+ };

        impl crate::console::lang::Lang {
            pub const fn $of(self) -> &'static $texts {
                match self {
                    Self::En => &EN,
                    Self::Zh => &ZH,
                }
            }
        }
    };
}
use texts;
