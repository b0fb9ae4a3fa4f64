package chimetest

import (
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"

	"tandem/admin"
)

// With keys, a client sends its token beside its requests.
func TestClientWithAKey(t *testing.T) {
	n := newNode(t, func(o *admin.Options) { o.Keys = []admin.Key{token("ops")} })
	_, err := n.ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{})
	refused(t, err, 401, "UnauthorizedClientException", "a key is needed")
	var unauthorized *types.UnauthorizedClientException
	require.ErrorAs(t, err, &unauthorized)

	with := func(token string) *chimesdkvoice.Client {
		return client(n.addr, chimesdkvoice.WithAPIOptions(smithyhttp.AddHeaderValue("Authorization", "Bearer "+token)))
	}
	_, err = with("ops").CreateVoiceConnector(t.Context(), &chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no})
	require.NoError(t, err)
	_, err = with("opss").ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{})
	refused(t, err, 401, "UnauthorizedClientException", "no key has this token")
}

// A node that routes by its file shows what that has.
func TestClientOfANodeWithoutAStore(t *testing.T) {
	n := newNode(t, func(o *admin.Options) { o.Manager = nil })
	out, err := n.ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{})
	require.NoError(t, err)
	require.Empty(t, out.VoiceConnectors)
	_, err = n.CreateVoiceConnector(t.Context(), &chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no})
	refused(t, err, 403, "ForbiddenException", "this node routes by its file")
	var forbidden *types.ForbiddenException
	require.ErrorAs(t, err, &forbidden)
}

// Whoever guesses is told to wait.
func TestClientThatIsTooFast(t *testing.T) {
	n := newNode(t, func(o *admin.Options) { o.Keys = []admin.Key{token("ops")} })
	var err error
	var throttled *types.ThrottledClientException
	for range 100 {
		if _, err = n.ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{}); errors.As(err, &throttled) {
			break
		}
	}
	refused(t, err, 429, "ThrottledClientException", "too many requests")
}
