package s3api

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Place is what the URL of a bucket names.
type Place struct {
	Bucket   string
	Prefix   string   // "" or ends with a slash
	Endpoint *url.URL // scheme and host; nil where the driver knows it
	Region   string   // "" if the URL does not say
	Create   bool     // make a bucket that does not exist
}

// The parameters of a bucket's URL.
const (
	paramRegion   = "region"
	paramSecure   = "secure"
	paramCreate   = "create"
	paramEndpoint = "endpoint"
)

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseHosted parses scheme://host[:port]/bucket[/prefix]?region=R&secure=false&create=true.
func ParseHosted(u *url.URL) (Place, error) {
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	p, values, err := parse(u, bucket, prefix, paramRegion, paramSecure, paramCreate)
	if err != nil {
		return p, err
	}
	if u.Host == "" {
		return p, fmt.Errorf("open bucket %s: no host", u.Redacted())
	}
	return p, p.at(u, u.Host, values)
}

// ParseNamed parses scheme://bucket[/prefix]?region=R&endpoint=URL&secure=false&create=true.
func ParseNamed(u *url.URL) (Place, error) {
	p, values, err := parse(u, u.Host, strings.TrimPrefix(u.Path, "/"),
		paramRegion, paramSecure, paramCreate, paramEndpoint)
	if err != nil {
		return p, err
	}
	endpoint := values.Get(paramEndpoint)
	if endpoint == "" && values.Has(paramSecure) {
		return p, fmt.Errorf("open bucket %s: secure goes with endpoint", u.Redacted())
	}
	if endpoint == "" {
		return p, nil
	}
	return p, p.at(u, endpoint, values)
}

// parse takes what both forms have: only the parameters known, each once, no credentials.
func parse(u *url.URL, bucket, prefix string, known ...string) (p Place, v url.Values, err error) {
	fault := func(format string, args ...any) (Place, url.Values, error) {
		return Place{}, nil, fmt.Errorf("open bucket %s: "+format,
			append([]any{u.Redacted()}, args...)...)
	}
	if u.User != nil {
		return fault("credentials belong in the environment, not in the URL")
	}
	if u.Fragment != "" || u.Opaque != "" {
		return fault("want %s://, and no fragment", u.Scheme)
	}
	if v, err = url.ParseQuery(u.RawQuery); err != nil {
		return fault("%w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if !slices.Contains(known, name) {
			return fault("unknown parameter %q, known are %s", name, strings.Join(known, ", "))
		}
		if len(v[name]) != 1 || v.Get(name) == "" {
			return fault("parameter %q wants one value", name)
		}
	}
	if !bucketName.MatchString(bucket) {
		return fault("%q is no name of a bucket", bucket)
	}
	p = Place{Bucket: bucket, Region: v.Get(paramRegion)}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		p.Prefix = prefix + "/"
	}
	if p.Create, err = boolean(v, paramCreate, false); err != nil {
		return fault("%w", err)
	}
	return p, v, nil
}

// at sets the endpoint: a URL, or a host for which secure says the scheme.
func (p *Place) at(u *url.URL, endpoint string, v url.Values) error {
	secure, err := boolean(v, paramSecure, true)
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", u.Redacted(), err)
	}
	if !strings.Contains(endpoint, "://") {
		endpoint = map[bool]string{true: "https://", false: "http://"}[secure] + endpoint
	} else if v.Has(paramSecure) {
		return fmt.Errorf("open bucket %s: the endpoint's scheme says what secure would",
			u.Redacted())
	}
	e, err := url.Parse(endpoint)
	if err != nil || e.Host == "" || e.User != nil || strings.Trim(e.Path, "/") != "" ||
		e.RawQuery != "" || e.Scheme != "http" && e.Scheme != "https" {
		return fmt.Errorf("open bucket %s: the endpoint is not a URL such as https://host:9000",
			u.Redacted())
	}
	p.Endpoint = &url.URL{Scheme: e.Scheme, Host: e.Host}
	return nil
}

func boolean(v url.Values, name string, otherwise bool) (bool, error) {
	if !v.Has(name) {
		return otherwise, nil
	}
	value, err := strconv.ParseBool(v.Get(name))
	if err != nil {
		return false, fmt.Errorf("parameter %s=%s: want true or false", name, v.Get(name))
	}
	return value, nil
}
