//! Which names announce a secret: of options, variables, headers, query parameters, JSON keys.
//!
//! Names are compared without regard to case and to `-`, `_` and `.`, so that `--api-key`, `API_KEY` and `apiKey` are
//! one. The decision falls by the *end* of a name first, since `TOKEN` is a secret where `TOKEN_TYPE` is none.

/// Names that end so hold a secret: Datadog's lists for command lines and query strings, less what would hit ordinary
/// build lines.
const ENDINGS: &[u8] = b"password,passwords,passwd,passphrase,passcode,secret,secrets,token,credential,credentials,\
apikey,appkey,applicationkey,accesskey,accesskeyid,accountkey,secretkey,secretkeyid,privatekey,privatekeyid,\
encryptionkey,signingkey,masterkey,authkey,sharedkey,sessionkey,consumerkey,mysqlpwd,dbpwd,userpwd,storepass,keypass,\
userpass,dbpass,passin,passout,authorization,bearer,jwt,connectionstring,passwordhash";

/// A name whose last word is one of these holds a secret. Not by ending: `compass` and `bypass` are harmless.
const LAST_WORDS: &[u8] = b"pass,pwd,pw,auth,cred,creds,cookie,cookies";

/// A name that has one of these anywhere holds a secret ...
const ANYWHERE: &[u8] = b"password,passwd,passphrase,secret,apikey,accesstoken,authtoken,privatekey,credential";

/// ... unless its last word says that it is about a secret only.
const ABOUT: &[u8] = b"max,min,len,length,size,bytes,bits,count,limit,file,files,filename,path,dir,directory,folder,\
type,kind,name,names,field,url,uri,arn,endpoint,host,port,header,hint,label,prompt,timeout,ttl,expiry,expires,\
expiration,duration,age,policy,provider,manager,store,backend,driver,helper,plugin,class,service,mode,format,encoding,\
algorithm,algo,cipher,version,stdin,fd,env,required,enabled,disabled,interactive,strength,rotation,prefix,suffix,lib,\
libs,library,libraries,cflags,ldflags,include,includes,root,test,tests,source,location,region,scanner,scanning";

/// Options that begin so are switches: what follows them is no value.
const SWITCHES: &[u8] = b"no,without,with,disable,enable,use,ask,show,print,prompt,skip,ignore,require,generate,force";

/// What a query string hides besides (presigned links of the cloud providers, API keys).
const QUERY_LAST_WORDS: &[u8] = b"sig,signature,key";

/// Headers whose value is one secret up to its end, whatever is in there.
const HEADERS: &[u8] = b"authorization,cookie,setcookie";

/// A longer name is judged by its end: no real one is longer, and a blob without separators must not cost much.
const NAME_MAX: usize = 64;

/// Whether what is assigned to this name is a secret: `NAME=…`, `--name=…`, `"name": …`.
pub(super) fn is_secret(name: &[u8]) -> bool {
    let name = significant(name);
    let letters = Letters::of(name);
    let letters = letters.as_bytes();
    if letters.ends_with(b"askpass") {
        return false;
    }
    if list(ENDINGS).any(|ending| letters.ends_with(ending)) {
        return true;
    }
    let last = last_word(name);
    if is_one_of(LAST_WORDS, last) {
        // The working directory of every shell.
        return !matches!(letters, b"pwd" | b"oldpwd");
    }
    list(ANYWHERE).any(|word| contains(letters, word)) && !is_one_of(ABOUT, last)
}

/// Whether the word behind the option is a secret: `--name VALUE`, and with one dash `-name VALUE`.
pub(super) fn is_secret_option(option: &[u8]) -> bool {
    let name = strip_dashes(option);
    let first = name.split(|&byte| is_separator(byte)).next().unwrap_or_default();
    if is_one_of(SWITCHES, first) || !is_secret(name) {
        return false;
    }
    if option.starts_with(b"--") {
        return true;
    }
    // One dash: `-lsecret-1` is a library and `-Itoken` a directory, glued to their letter; so a whole word of the name
    // has to be a secret's.
    let letters = Letters::of(name);
    let last = last_word(significant(name));
    !name.first().is_some_and(|first| b"lLIDUW".contains(first))
        && (is_one_of(ENDINGS, last)
            || is_one_of(LAST_WORDS, last)
            || is_one_of(ENDINGS, letters.as_bytes())
            || letters.as_bytes().ends_with(b"storepass"))
}

/// Whether a parameter of a query string or a form is a secret.
pub(super) fn is_secret_parameter(name: &[u8]) -> bool {
    is_secret(name) || is_one_of(QUERY_LAST_WORDS, last_word(name))
}

/// Whether the value of the header is one secret up to its end.
pub(super) fn is_secret_header(name: &[u8]) -> bool {
    let letters = Letters::of(significant(name));
    list(HEADERS).any(|header| letters.as_bytes().ends_with(header))
}

/// Values that nobody has as a secret: switches, and numbers of one digit.
pub(super) fn is_plain_value(value: &[u8]) -> bool {
    const PLAIN: &[u8] = b"on,off,yes,no,true,false,y,n,none,null,nil,auto,enabled,disabled,never,always,-";
    matches!(value, [] | [b'0'..=b'9']) || is_one_of(PLAIN, value)
}

fn is_one_of(words: &'static [u8], word: &[u8]) -> bool {
    list(words).any(|one| one.eq_ignore_ascii_case(word))
}

fn list(words: &'static [u8]) -> impl Iterator<Item = &'static [u8]> {
    words.split(|&byte| byte == b',')
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b'-' | b'_' | b'.')
}

fn strip_dashes(option: &[u8]) -> &[u8] {
    let dashes = option.iter().take_while(|&&byte| byte == b'-').count();
    option.get(dashes..).unwrap_or_default()
}

/// The name without leading dashes, without the `D` of a compiler's or Java's `-D`, without numbers at its end.
fn significant(name: &[u8]) -> &[u8] {
    let name = name.strip_prefix(b"-D").unwrap_or(strip_dashes(name));
    let trailing = name.iter().rev().take_while(|&&byte| byte.is_ascii_digit() || is_separator(byte)).count();
    let name = name.get(..name.len().saturating_sub(trailing)).unwrap_or_default();
    name.get(name.len().saturating_sub(NAME_MAX)..).unwrap_or_default()
}

/// The last word: behind the last separator, or from the last capital that follows a small letter.
fn last_word(name: &[u8]) -> &[u8] {
    let mut next_is_capital = false;
    let length = name.iter().rev().take_while(|&&byte| {
        let ends_a_word = is_separator(byte) || (next_is_capital && byte.is_ascii_lowercase());
        next_is_capital = byte.is_ascii_uppercase();
        !ends_a_word
    });
    let length = length.count();
    name.get(name.len().saturating_sub(length)..).unwrap_or_default()
}

fn contains(letters: &[u8], word: &[u8]) -> bool {
    (0..letters.len()).any(|start| letters.get(start..).is_some_and(|rest| rest.starts_with(word)))
}

/// The letters of a name: small, without separators.
struct Letters {
    bytes: [u8; NAME_MAX],
    len: usize,
}

impl Letters {
    /// Of the last [`NAME_MAX`] bytes of a name.
    fn of(name: &[u8]) -> Self {
        let name = name.get(name.len().saturating_sub(NAME_MAX)..).unwrap_or_default();
        let mut letters = Letters { bytes: [0; NAME_MAX], len: 0 };
        let places = letters.bytes.iter_mut();
        for (byte, place) in name.iter().filter(|&&byte| !is_separator(byte)).zip(places) {
            *place = byte.to_ascii_lowercase();
            letters.len += 1;
        }
        letters
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_in_every_spelling() {
        for name in [
            "password",
            "--password",
            "DB_PASSWORD",
            "db-password",
            "dbPassword",
            "PASSWORD2",
            "MYSQL_PWD",
            "PASS",
            "SMTP_PASS",
            "api_key",
            "apiKey",
            "DD_API_KEY",
            "DD_APP_KEY",
            "x-api-key",
            "secret",
            "client_secret",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "GITHUB_TOKEN",
            "stripetoken",
            "_authToken",
            "private-key",
            "Authorization",
            "SECRET_KEY_BASE_PROD",
            "PASSWORD_PROD",
            "-Djavax.net.ssl.keyStorePassword",
            "-Psigning.password",
            "credentials",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "--cookie",
            "basic-auth",
        ] {
            assert!(is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn names_about_secrets_are_none() {
        for name in [
            "-DPASSWORD_MAX",
            "passwordMaxLength",
            "--token-type",
            "TOKENIZER",
            "TOKENIZERS_PARALLELISM",
            "PWD",
            "OLDPWD",
            "-DPWD",
            "compass",
            "BYPASS",
            "author",
            "GIT_AUTHOR_NAME",
            "GIT_ASKPASS",
            "core.askPass",
            "credential.helper",
            "LIBSECRET_CFLAGS",
            "SECRET_NAME",
            "--password-file",
            "key",
            "PUBLIC_KEY",
            "monkey",
            "--max-tokens",
            "",
            "--",
        ] {
            assert!(!is_secret(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn options_with_a_value_behind_them() {
        for option in ["--password", "--client-secret", "-password", "-storepass", "-srcstorepass", "-passin", "-token"]
        {
            assert!(is_secret_option(option.as_bytes()), "{option}");
        }
        for option in [
            "--no-password",
            "--ask-pass",
            "--with-token",
            "--password-stdin",
            "-lsecret-1",
            "-lsecret",
            "-Itoken",
            "-DSECRET",
            "-p",
            "-Wsecret",
            "-",
            "--",
        ] {
            assert!(!is_secret_option(option.as_bytes()), "{option}");
        }
    }

    #[test]
    fn the_last_word_of_a_name() {
        for (name, last) in
            [("a_b", "b"), ("useHttpPath", "Path"), ("PASS", "PASS"), ("a.b-", ""), ("", ""), ("aB", "B")]
        {
            assert_eq!(last_word(name.as_bytes()), last.as_bytes(), "{name}");
        }
    }
}
