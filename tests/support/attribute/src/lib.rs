//! The attribute of the tests in tests/cluster.

use proc_macro::{Delimiter, Group, TokenStream, TokenTree};

/// A test of tests/cluster, in the place of `#[test]` and `#[tokio::test]` (whose
/// arguments it takes).
///
/// It runs under the profiles that `const PROFILES` of its file names, and under another
/// it ends before it has started anything. Its time is recorded.
///
/// ```ignore
/// const PROFILES: Profiles = Profiles::Both;
///
/// #[story]
/// async fn a_release_becomes_ready() {}
/// ```
#[proc_macro_attribute]
pub fn story(arguments: TokenStream, function: TokenStream) -> TokenStream {
    let mut tokens: Vec<TokenTree> = function.into_iter().collect();
    let (Some(TokenTree::Group(body)), Some(name)) = (tokens.pop(), name_of(&tokens)) else {
        return code("compile_error!(\"a story is a function\");");
    };
    let mut around = code(&format!(
        "if !PROFILES.have_that_of_the_run() {{ return; }}
         let _clock = ::supercargo_testbed::times::Clock::start(
             ::core::env!(\"CARGO_TARGET_TMPDIR\"),
             ::core::concat!(::core::module_path!(), \"::{name}\"),
         );"
    ));
    around.extend(body.stream());
    let mut whole = Group::new(Delimiter::Brace, around);
    whole.set_span(body.span());
    let mut test = match place_of(&tokens, "async") {
        Some(_) if arguments.is_empty() => code("#[::tokio::test]"),
        Some(_) => code(&format!("#[::tokio::test({arguments})]")),
        None => code("#[::core::prelude::v1::test]"),
    };
    test.extend(tokens);
    test.extend([TokenTree::Group(whole)]);
    test
}

/// The name of the function that begins so.
fn name_of(tokens: &[TokenTree]) -> Option<String> {
    tokens.get(place_of(tokens, "fn")? + 1).map(ToString::to_string)
}

/// Where that word stands.
fn place_of(tokens: &[TokenTree], word: &str) -> Option<usize> {
    tokens.iter().position(|token| matches!(token, TokenTree::Ident(ident) if ident.to_string() == word))
}

fn code(text: &str) -> TokenStream {
    text.parse().expect("what is written here is Rust")
}
