package chimetest

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	"github.com/stretchr/testify/require"

	"tandem/health"
)

// connector creates a voice connector and returns its ID.
func (n *node) connector(name string, region types.VoiceConnectorAwsRegion) *string {
	n.t.Helper()
	out, err := n.CreateVoiceConnector(n.t.Context(), &chimesdkvoice.CreateVoiceConnectorInput{Name: &name, AwsRegion: region, RequireEncryption: no})
	require.NoError(n.t, err)
	return out.VoiceConnector.VoiceConnectorId
}

func TestVoiceConnectors(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	created, err := n.CreateVoiceConnector(ctx, &chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no, NetworkType: types.NetworkTypeIpv4Only})
	require.NoError(t, err)
	c := created.VoiceConnector
	require.Len(t, *c.VoiceConnectorId, 22)
	require.Equal(t, types.VoiceConnectorAwsRegionUsEast1, c.AwsRegion, "unless another is said")
	require.WithinDuration(t, time.Now(), *c.CreatedTimestamp, time.Minute)
	require.False(t, *c.RequireEncryption)

	id := c.VoiceConnectorId
	got, err := n.GetVoiceConnector(ctx, &chimesdkvoice.GetVoiceConnectorInput{VoiceConnectorId: id})
	require.NoError(t, err)
	require.Equal(t, c, got.VoiceConnector)
	byName, err := n.GetVoiceConnector(ctx, &chimesdkvoice.GetVoiceConnectorInput{VoiceConnectorId: str("east")})
	require.NoError(t, err)
	require.Equal(t, c, byName.VoiceConnector)

	updated, err := n.UpdateVoiceConnector(ctx, &chimesdkvoice.UpdateVoiceConnectorInput{VoiceConnectorId: id, Name: str("support east"), RequireEncryption: no})
	require.NoError(t, err)
	require.Equal(t, []string{"support east", *id}, []string{*updated.VoiceConnector.Name, *updated.VoiceConnector.VoiceConnectorId})

	_, err = n.DeleteVoiceConnector(ctx, &chimesdkvoice.DeleteVoiceConnectorInput{VoiceConnectorId: id})
	require.NoError(t, err)
	_, err = n.GetVoiceConnector(ctx, &chimesdkvoice.GetVoiceConnectorInput{VoiceConnectorId: id})
	refused(t, err, 404, "NotFoundException", "there is no connector")
	var typed *types.NotFoundException
	require.ErrorAs(t, err, &typed)
	require.Equal(t, types.ErrorCodeNotFound, typed.Code)
}

func TestVoiceConnectorsRefused(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	create := func(in chimesdkvoice.CreateVoiceConnectorInput) error {
		_, err := n.CreateVoiceConnector(ctx, &in)
		return err
	}
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: yes}), 400, "BadRequestException", "RequireEncryption: is true, which cannot be kept")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no, IntegrationType: types.VoiceConnectorIntegrationTypeConnectAnalyticsConnector}), 400, "BadRequestException", "IntegrationType")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no, NetworkType: types.NetworkTypeDualStack}), 400, "BadRequestException", "NetworkType")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no, Tags: []types.Tag{{Key: str("a"), Value: str("b")}}}), 400, "BadRequestException", "Tags")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("a/b"), RequireEncryption: no}), 400, "BadRequestException", "is not a name")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str(""), RequireEncryption: no}), 400, "BadRequestException", "Name: is missing")
	n.connector("east", "us-east-1")
	refused(t, create(chimesdkvoice.CreateVoiceConnectorInput{Name: str("east"), RequireEncryption: no}), 409, "ConflictException", "is the name of another connector")
	_, err := n.UpdateVoiceConnector(ctx, &chimesdkvoice.UpdateVoiceConnectorInput{VoiceConnectorId: str("east"), Name: str("x"), RequireEncryption: yes})
	refused(t, err, 400, "BadRequestException", "RequireEncryption")
	_, err = n.UpdateVoiceConnector(ctx, &chimesdkvoice.UpdateVoiceConnectorInput{VoiceConnectorId: str("esat"), Name: str("x"), RequireEncryption: no})
	refused(t, err, 404, "NotFoundException", `did you mean "east"?`)
	_, err = n.GetVoiceConnector(ctx, &chimesdkvoice.GetVoiceConnectorInput{VoiceConnectorId: str("../groups")})
	refused(t, err, 400, "BadRequestException")
	// What is not there at all.
	_, err = n.GetVoiceConnectorTermination(ctx, &chimesdkvoice.GetVoiceConnectorTerminationInput{VoiceConnectorId: str("east")})
	refused(t, err, 404, "NotFoundException", "there is no /voice-connectors/east/termination")
	_, err = n.ListSipRules(ctx, &chimesdkvoice.ListSipRulesInput{})
	refused(t, err, 404, "NotFoundException", "there is no /sip-rules")
	_, err = n.GetGlobalSettings(ctx, &chimesdkvoice.GetGlobalSettingsInput{})
	refused(t, err, 404, "NotFoundException", "there is no /settings")
	_, err = n.SearchAvailablePhoneNumbers(ctx, &chimesdkvoice.SearchAvailablePhoneNumbersInput{})
	refused(t, err, 404, "NotFoundException", "there is no /search")
}

func TestVoiceConnectorsArePaged(t *testing.T) {
	n := newNode(t)
	for _, name := range []string{"c", "a", "e", "b", "d"} {
		n.connector(name, "eu-west-1")
	}
	var names []string
	pages := 0
	for p := chimesdkvoice.NewListVoiceConnectorsPaginator(n, &chimesdkvoice.ListVoiceConnectorsInput{MaxResults: aws.Int32(2)}); p.HasMorePages(); pages++ {
		page, err := p.NextPage(t.Context())
		require.NoError(t, err)
		for _, c := range page.VoiceConnectors {
			names = append(names, *c.Name)
		}
	}
	require.Equal(t, []string{"a", "b", "c", "d", "e"}, names)
	require.Equal(t, 3, pages)
	for _, limit := range []int32{0, -1, 101} {
		_, err := n.ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{MaxResults: &limit})
		refused(t, err, 400, "BadRequestException", "max-results")
	}
	for _, forged := range []string{"x", "MTo", "MTphL2I", "eyJhIjoxfQ==", "../../etc", "MTo="} {
		_, err := n.ListVoiceConnectors(t.Context(), &chimesdkvoice.ListVoiceConnectorsInput{NextToken: &forged})
		refused(t, err, 400, "BadRequestException", "NextToken")
	}
}

func TestOrigination(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	id := n.connector("east", "us-east-1")
	get := func() *types.Origination {
		out, err := n.GetVoiceConnectorOrigination(ctx, &chimesdkvoice.GetVoiceConnectorOriginationInput{VoiceConnectorId: id})
		require.NoError(t, err)
		return out.Origination
	}
	put := func(o types.Origination) error {
		out, err := n.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: id, Origination: &o})
		if err == nil {
			require.Equal(t, get(), out.Origination)
		}
		return err
	}
	route := func(host string, port, priority, weight int32) types.OriginationRoute {
		return types.OriginationRoute{Host: &host, Port: &port, Priority: &priority, Weight: &weight, Protocol: types.OriginationRouteProtocolUdp}
	}
	require.Nil(t, get())
	routes := []types.OriginationRoute{route("10.0.1.10", 5060, 1, 10), route("2001:db8::1", 5080, 2, 1)}
	require.NoError(t, put(types.Origination{Routes: routes}))
	require.Equal(t, &types.Origination{Disabled: no, Routes: routes}, get())
	require.Len(t, n.router.Hosts(), 2)

	require.NoError(t, put(types.Origination{Disabled: yes}))
	require.Equal(t, &types.Origination{Disabled: yes, Routes: routes}, get(), "what is not said stays")
	require.NoError(t, put(types.Origination{Disabled: no, Routes: []types.OriginationRoute{{Host: str("10.0.1.11")}}}))
	require.Equal(t, &types.Origination{Disabled: no, Routes: []types.OriginationRoute{route("10.0.1.11", 5060, 1, 1)}}, get())

	for says, o := range map[string]types.Origination{
		"has neither Routes nor Disabled":    {},
		"Origination.Routes[0].Host":         {Routes: []types.OriginationRoute{{Port: aws.Int32(5060)}}},
		"Origination.Routes[0].Port":         {Routes: []types.OriginationRoute{route("10.0.1.10", 65536, 1, 1)}},
		"Origination.Routes[0].Priority":     {Routes: []types.OriginationRoute{route("10.0.1.10", 5060, 101, 1)}},
		"Origination.Routes[1].Weight":       {Routes: []types.OriginationRoute{route("10.0.1.10", 5060, 1, 1), route("10.0.1.11", 5060, 1, -1)}},
		"Origination.Routes[0].Protocol":     {Routes: []types.OriginationRoute{{Host: str("10.0.1.10"), Protocol: types.OriginationRouteProtocolTcp}}},
		"a connector has at most 20":         {Routes: make([]types.OriginationRoute, 21)},
		`"10.0.1.10;transport=tcp" is not a`: {Routes: []types.OriginationRoute{route("10.0.1.10;transport=tcp", 5060, 1, 1)}},
	} {
		refused(t, put(o), 400, "BadRequestException", says)
	}
	require.Len(t, get().Routes, 1)

	byName := []types.OriginationRoute{route("pbx.example.com", 5060, 1, 1)} // the node resolves it
	require.NoError(t, put(types.Origination{Routes: byName}))
	require.Equal(t, byName, get().Routes)

	_, err := n.DeleteVoiceConnectorOrigination(ctx, &chimesdkvoice.DeleteVoiceConnectorOriginationInput{VoiceConnectorId: id})
	require.NoError(t, err)
	require.Nil(t, get())
	_, err = n.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: str("nobody"), Origination: &types.Origination{Disabled: yes}})
	refused(t, err, 404, "NotFoundException")
}

func TestTerminationHealth(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	id := n.connector("east", "us-east-1")
	last := func() *types.TerminationHealth {
		out, err := n.GetVoiceConnectorTerminationHealth(ctx, &chimesdkvoice.GetVoiceConnectorTerminationHealthInput{VoiceConnectorId: id})
		require.NoError(t, err)
		return out.TerminationHealth
	}
	_, err := n.PutVoiceConnectorOrigination(ctx, &chimesdkvoice.PutVoiceConnectorOriginationInput{VoiceConnectorId: id, Origination: &types.Origination{
		Routes: []types.OriginationRoute{{Host: str("10.0.1.10")}, {Host: str("10.0.1.11")}},
	}})
	require.NoError(t, err)
	require.Nil(t, last(), "nothing was heard yet")
	for i, h := range n.router.Hosts() {
		h.Health.Observe(n.now-int64(time.Duration(2-i)*time.Minute), health.Observation{Event: health.ProbeOK, Code: 200})
	}
	seen := last()
	require.Equal(t, "10.0.1.11", *seen.Source)
	require.WithinDuration(t, time.Now().Add(-time.Minute), *seen.Timestamp, 20*time.Second)
}

func TestRegions(t *testing.T) {
	n := newNode(t)
	n.connector("lab", "basement")
	out, err := n.ListAvailableVoiceConnectorRegions(t.Context(), &chimesdkvoice.ListAvailableVoiceConnectorRegionsInput{})
	require.NoError(t, err)
	require.Subset(t, out.VoiceConnectorRegions, types.VoiceConnectorAwsRegion("").Values())
	require.Contains(t, out.VoiceConnectorRegions, types.VoiceConnectorAwsRegion("basement"))
}
