//! `im-push-gateway account …`: accounts of people who sign in to this service itself.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;

use crate::accounts::admin::{self, Act};
use crate::accounts::registration::{self, NewAccount};
use crate::base::config::Config;
use crate::base::store::Store;
use crate::identity::{Role, Roles, account};

/// A command on the server. No user can have this id.
const ON_SERVER: &str = ".server";

#[derive(Subcommand)]
pub enum AccountCommand {
    /// Create an account. Its user is added to the directory.
    ///
    /// Without --password-stdin it prints a one-time code, with which the user sets a password
    /// (POST /users/password-reset).
    Create {
        /// The name that the user signs in with.
        #[arg(long)]
        username: String,
        /// The name that others see. Without it, the username.
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        email: Option<String>,
        /// Give the role admin.
        #[arg(long)]
        admin: bool,
        /// Read the password from the first line of the standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Print a one-time code with which a user sets a new password. The old one stays valid until then.
    ResetPassword { username: String },
    /// Replace the key of the database that signs access tokens. Tokens of the old one stay valid.
    ///
    /// Keys of the setting `account_keys` are replaced there.
    RotateKey,
}

/// Runs one of the commands and prints its result.
pub async fn run(config: &Config, command: AccountCommand) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::new(config)?;
    match command {
        AccountCommand::Create { username, name, email, admin, password_stdin } => {
            let password = if password_stdin { Some(read_password()?) } else { None };
            let new = NewAccount {
                username: &username,
                name: name.as_deref().unwrap_or(&username),
                email: email.as_deref(),
            };
            let roles = if admin { Roles::default().with(Role::Admin) } else { Roles::default() };
            let given = (password.as_deref(), roles);
            let now = store.now().await?;
            let (made, code) = registration::create(&store, &config.accounts, new, given, now).await?;
            println!("{}\t{}", made.username, made.user_id);
            if let Some(code) = code {
                println!("{}", code.expose());
            }
        }
        AccountCommand::ResetPassword { username } => {
            let (user_id, now) = (admin::of_username(&store, &username).await?, store.now().await?);
            let act = Act { actor: ON_SERVER, user_id: &user_id, now };
            let (code, _) = admin::start_reset(&store, act, now + config.accounts.reset_life).await?;
            println!("{}", code.expose());
        }
        AccountCommand::RotateKey => account::rotate(&store).await?,
    }
    Ok(())
}

/// The first line of the standard input.
fn read_password() -> Result<String, Box<dyn std::error::Error>> {
    let input = std::io::stdin();
    if input.is_terminal() {
        return Err("pipe the password in: a terminal would show it; or leave --password-stdin out for a one-time code".into());
    }
    let mut line = String::new();
    input.lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
