//! `im-push-gateway token …`: the service's own bearer tokens.

use clap::Subcommand;
use time::Duration;

use crate::base::store::Store;
use crate::identity::token::{self, NewToken};
use crate::identity::{Role, Roles};

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it once. Only its hash is stored.
    Create {
        /// A name for the token in lists, for example "hr-sync".
        #[arg(long)]
        name: String,
        /// The user the token acts as: an application of the directory, or the id of a machine.
        #[arg(long)]
        user_id: String,
        /// Roles, separated by commas: user, gateway, directory, support, admin.
        #[arg(long, value_delimiter = ',', default_value = "user")]
        roles: Vec<String>,
        /// Days until the token expires.
        #[arg(long, default_value_t = 365)]
        days: u16,
    },
    /// List tokens: name, user, roles, expiry.
    List,
    /// Revoke a token by the id that `list` shows.
    Revoke { token_id: String },
}

/// Runs one of the commands and prints its result.
pub async fn run(store: &Store, command: TokenCommand) -> Result<(), Box<dyn std::error::Error>> {
    match command {
        TokenCommand::Create { name, user_id, roles, days } => {
            if let Some(unknown) = roles.iter().find(|role| Role::named(role).is_none()) {
                return Err(format!(
                    "unknown role {unknown}: use user, gateway, directory, support or admin"
                )
                .into());
            }
            let now = store.now().await?;
            let new = NewToken {
                name: &name,
                user_id: &user_id,
                roles: Roles::named(roles.iter().map(String::as_str)),
                expires_at: now + Duration::days(days.into()),
            };
            println!("{}", token::create(store, &new, now).await?.expose());
        }
        TokenCommand::List => {
            for t in token::list(store).await? {
                let roles = t.roles.names().join(",");
                println!(
                    "{}\t{}\t{}\t{roles}\texpires {}",
                    t.token_id,
                    t.name,
                    t.user_id,
                    t.expires_at.date()
                );
            }
        }
        TokenCommand::Revoke { token_id } => token::revoke(store, &token_id, store.now().await?).await?,
    }
    Ok(())
}
