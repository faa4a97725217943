//! Domains below which anybody may have a name: storage, hosting, tunnels, names of changing addresses.
//! Who knows some names there knows nothing of the others.

/// In order.
const RENTED: [&str; 73] = [
    "aliyuncs.com",
    "amazonaws.com",
    "amazonaws.com.cn",
    "amplifyapp.com",
    "appspot.com",
    "awsapprunner.com",
    "awsglobalaccelerator.com",
    "azure-api.net",
    "azurecontainerapps.io",
    "azureedge.net",
    "azurefd.net",
    "azurestaticapps.net",
    "azurewebsites.net",
    "b-cdn.net",
    "backblazeb2.com",
    "cloudapp.azure.com",
    "cloudapp.net",
    "cloudfront.net",
    "cloudfunctions.net",
    "core.windows.net",
    "database.windows.net",
    "ddns.net",
    "deno.dev",
    "digitaloceanspaces.com",
    "duckdns.org",
    "dyndns.org",
    "dynu.net",
    "elasticbeanstalk.com",
    "firebaseapp.com",
    "firebaseio.com",
    "fly.dev",
    "github.io",
    "gitlab.io",
    "glitch.me",
    "googleusercontent.com",
    "herokuapp.com",
    "herokudns.com",
    "hopto.org",
    "lhr.life",
    "linodeobjects.com",
    "loca.lt",
    "netlify.app",
    "ngrok-free.app",
    "ngrok-free.dev",
    "ngrok.app",
    "ngrok.dev",
    "ngrok.io",
    "nip.io",
    "no-ip.org",
    "now.sh",
    "on.aws",
    "ondigitalocean.app",
    "onrender.com",
    "pages.dev",
    "r2.cloudflarestorage.com",
    "r2.dev",
    "run.app",
    "serveo.net",
    "servicebus.windows.net",
    "sslip.io",
    "storage.googleapis.com",
    "supabase.co",
    "surge.sh",
    "sytes.net",
    "trafficmanager.net",
    "trycloudflare.com",
    "up.railway.app",
    "vercel.app",
    "vultrobjects.com",
    "wasabisys.com",
    "web.app",
    "workers.dev",
    "zapto.org",
];

/// Whether names below a domain, in small letters, belong to whoever rents them: it is one of those, or
/// lies below one.
pub(super) fn is_rented(domain: &str) -> bool {
    let starts = domain.match_indices('.').map(|(at, _)| at + 1);
    std::iter::once(0).chain(starts).any(|at| RENTED.binary_search(&&domain[at..]).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domains_are_in_order_and_are_no_ones_own() {
        assert!(RENTED.is_sorted());
        assert!(RENTED.iter().all(|it| it.contains('.') && *it == it.to_ascii_lowercase()));
    }

    #[test]
    fn what_lies_below_a_rented_domain_is_rented_wherever_it_lies() {
        for domain in [
            "s3.amazonaws.com",
            "s3.eu-west-1.amazonaws.com",
            "s3-website-eu-west-1.amazonaws.com",
            "execute-api.us-east-1.amazonaws.com",
            "blob.core.windows.net",
            "a.run.app",
            "github.io",
            "westeurope.cloudapp.azure.com",
        ] {
            assert!(is_rented(domain), "{domain}");
        }
        for domain in ["example.com", "notgithub.io", "io", "", "windows.net", "api.github.com"] {
            assert!(!is_rented(domain), "{domain}");
        }
    }
}
