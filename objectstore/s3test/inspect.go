package s3test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/fozlog/foz/objectstore"
)

const lifecycleRules = `<LifecycleConfiguration>
<Rule><ID>all</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
	<Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>ours</ID><Status>Enabled</Status><Filter><Prefix>p/data/</Prefix></Filter>
	<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>
<Rule><ID>large</ID><Status>Enabled</Status><Filter><And><Prefix>p/</Prefix>
	<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></And></Filter>
	<Expiration><Date>2027-01-01T00:00:00Z</Date></Expiration></Rule>
<Rule><ID>old</ID><Status>Enabled</Status><Prefix>p</Prefix>
	<Expiration><Days>1</Days></Expiration></Rule>
<Rule><ID>off</ID><Status>Disabled</Status><Filter><Prefix></Prefix></Filter>
	<Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>others</ID><Status>Enabled</Status><Filter><Prefix>q/</Prefix></Filter>
	<Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>tagged</ID><Status>Enabled</Status>
	<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>
	<Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>tagged too</ID><Status>Enabled</Status><Filter><And><Prefix>p/</Prefix>
	<Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>
	<Expiration><Days>30</Days></Expiration></Rule>
<Rule><ID>uploads</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
	<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation>
	</AbortIncompleteMultipartUpload></Rule>
<Rule><ID>versions</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter>
	<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>
	</NoncurrentVersionExpiration></Rule>
</LifecycleConfiguration>`

// testSettings asks for settings that are made, that are not, and that are secret.
func testSettings(t *testing.T, d Driver) {
	setKeys(t)
	server := Start(t)
	s := d.open(t, d.URL(server.URL, Bucket, "/p", ""))
	answers := func(versioning, lock, lifecycle http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch q := r.URL.Query(); {
			case q.Has("versioning"):
				versioning(w, r)
			case q.Has("object-lock"):
				lock(w, r)
			case q.Has("lifecycle"):
				lifecycle(w, r)
			}
		}
	}
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
		err    string
	}{
		"made": {answers(
			text(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`),
			text(`<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>`+
				`<DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule>`+
				`</ObjectLockConfiguration>`),
			text(lifecycleRules)), "{true true [all ours large old]}", ""},
		"not made": {answers(text(`<VersioningConfiguration></VersioningConfiguration>`),
			refusal(404, "ObjectLockConfigurationNotFoundError"),
			refusal(404, "NoSuchLifecycleConfiguration")), "{false false []}", ""},
		"secret": {answers(refusal(403, "AccessDenied"), refusal(403, "AccessDenied"),
			text(lifecycleRules)), "{false false [all ours large old]}", "AccessDenied"},
	} {
		server.Answer(c.answer)
		settings, err := s.(objectstore.Inspector).Settings(t.Context())
		if got := fmt.Sprint(settings); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		if c.err == "" && err != nil || !strings.Contains(fmt.Sprint(err), c.err) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}
