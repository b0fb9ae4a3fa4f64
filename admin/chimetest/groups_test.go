package chimetest

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	"github.com/stretchr/testify/require"
)

func (n *node) group(name string, items ...types.VoiceConnectorItem) *types.VoiceConnectorGroup {
	n.t.Helper()
	out, err := n.CreateVoiceConnectorGroup(n.t.Context(), &chimesdkvoice.CreateVoiceConnectorGroupInput{Name: &name, VoiceConnectorItems: items})
	require.NoError(n.t, err)
	return out.VoiceConnectorGroup
}

func TestVoiceConnectorGroups(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	east, west := n.connector("east", "us-east-1"), n.connector("west", "us-west-2")
	g := n.group("support", item(west, 2), item(east, 1))
	require.Equal(t, []types.VoiceConnectorItem{item(east, 1), item(west, 2)}, g.VoiceConnectorItems)
	id := g.VoiceConnectorGroupId
	got, err := n.GetVoiceConnectorGroup(ctx, &chimesdkvoice.GetVoiceConnectorGroupInput{VoiceConnectorGroupId: id})
	require.NoError(t, err)
	require.Equal(t, g, got.VoiceConnectorGroup)

	// Another name and another ranking.
	updated, err := n.UpdateVoiceConnectorGroup(ctx, &chimesdkvoice.UpdateVoiceConnectorGroupInput{
		VoiceConnectorGroupId: id, Name: str("help desk"), VoiceConnectorItems: []types.VoiceConnectorItem{item(east, 2), item(west, 1)},
	})
	require.NoError(t, err)
	require.Equal(t, "help desk", *updated.VoiceConnectorGroup.Name)
	require.Equal(t, []types.VoiceConnectorItem{item(west, 1), item(east, 2)}, updated.VoiceConnectorGroup.VoiceConnectorItems)

	for _, c := range []*string{east, west} {
		_, err = n.DeleteVoiceConnector(ctx, &chimesdkvoice.DeleteVoiceConnectorInput{VoiceConnectorId: c})
		refused(t, err, 409, "ConflictException", `group "help desk"`)
	}
	_, err = n.DeleteVoiceConnectorGroup(ctx, &chimesdkvoice.DeleteVoiceConnectorGroupInput{VoiceConnectorGroupId: id})
	refused(t, err, 409, "ConflictException", "has 2 connectors", `connector "west"`)
	var conflict *types.ConflictException
	require.ErrorAs(t, err, &conflict)

	_, err = n.UpdateVoiceConnectorGroup(ctx, &chimesdkvoice.UpdateVoiceConnectorGroupInput{VoiceConnectorGroupId: id, Name: str("help desk"), VoiceConnectorItems: []types.VoiceConnectorItem{}})
	require.NoError(t, err)
	_, err = n.DeleteVoiceConnectorGroup(ctx, &chimesdkvoice.DeleteVoiceConnectorGroupInput{VoiceConnectorGroupId: id})
	require.NoError(t, err)
	_, err = n.GetVoiceConnectorGroup(ctx, &chimesdkvoice.GetVoiceConnectorGroupInput{VoiceConnectorGroupId: id})
	refused(t, err, 404, "NotFoundException")
}

func TestVoiceConnectorGroupsRefused(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	east, west := n.connector("east", "us-east-1"), n.connector("west", "us-west-2")
	create := func(name string, items ...types.VoiceConnectorItem) error {
		_, err := n.CreateVoiceConnectorGroup(ctx, &chimesdkvoice.CreateVoiceConnectorGroupInput{Name: &name, VoiceConnectorItems: items})
		return err
	}
	refused(t, create("x", item(east, 0)), 400, "BadRequestException", "VoiceConnectorItems[0].Priority: ")
	refused(t, create("x", item(east, 100)), 400, "BadRequestException", "VoiceConnectorItems[0].Priority: ")
	refused(t, create("x", item(east, 1), item(west, 1)), 400, "BadRequestException", "have the same priority 1")
	refused(t, create("x", item(east, 1), item(east, 2)), 400, "BadRequestException", "list each connector once")
	refused(t, create("x", item(str("nobody"), 1)), 404, "NotFoundException", "there is no connector")
	refused(t, create("x:y"), 400, "BadRequestException", "is not a name")
	four := []types.VoiceConnectorItem{item(east, 1), item(west, 2), item(n.connector("north", "eu-west-1"), 3), item(n.connector("south", "eu-west-2"), 4)}
	err := create("x", four...)
	refused(t, err, 400, "ResourceLimitExceededException", "quotas.connectors_per_group allows 3")
	var limit *types.ResourceLimitExceededException
	require.ErrorAs(t, err, &limit)
	for _, name := range []string{"one", "two", "three"} {
		n.group(name)
	}
	refused(t, create("four"), 400, "ResourceLimitExceededException", "quotas.groups allows 3")
	refused(t, create("two"), 409, "ConflictException", "is the name of another group")

	_, err = n.UpdateVoiceConnectorGroup(ctx, &chimesdkvoice.UpdateVoiceConnectorGroupInput{VoiceConnectorGroupId: str("four"), Name: str("x"), VoiceConnectorItems: []types.VoiceConnectorItem{}})
	refused(t, err, 404, "NotFoundException")

	var names []string
	for p := chimesdkvoice.NewListVoiceConnectorGroupsPaginator(n, &chimesdkvoice.ListVoiceConnectorGroupsInput{MaxResults: aws.Int32(1)}); p.HasMorePages(); {
		page, err := p.NextPage(ctx)
		require.NoError(t, err)
		require.Len(t, page.VoiceConnectorGroups, 1)
		names = append(names, *page.VoiceConnectorGroups[0].Name)
	}
	require.Equal(t, []string{"one", "three", "two"}, names)
}
