package chimetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice"
	"github.com/aws/aws-sdk-go-v2/service/chimesdkvoice/types"
	"github.com/stretchr/testify/require"
)

func (n *node) order(numbers ...string) *types.PhoneNumberOrder {
	n.t.Helper()
	out, err := n.CreatePhoneNumberOrder(n.t.Context(), &chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: numbers, ProductType: types.PhoneNumberProductTypeVoiceConnector})
	require.NoError(n.t, err)
	return out.PhoneNumberOrder
}

func (n *node) number(id string) *types.PhoneNumber {
	n.t.Helper()
	out, err := n.GetPhoneNumber(n.t.Context(), &chimesdkvoice.GetPhoneNumberInput{PhoneNumberId: &id})
	require.NoError(n.t, err)
	return out.PhoneNumber
}

func (n *node) toConnector(id *string, force *bool, numbers ...string) []types.PhoneNumberError {
	n.t.Helper()
	out, err := n.AssociatePhoneNumbersWithVoiceConnector(n.t.Context(), &chimesdkvoice.AssociatePhoneNumbersWithVoiceConnectorInput{VoiceConnectorId: id, E164PhoneNumbers: numbers, ForceAssociate: force})
	require.NoError(n.t, err)
	return out.PhoneNumberErrors
}

func (n *node) toGroup(id *string, force *bool, numbers ...string) []types.PhoneNumberError {
	n.t.Helper()
	out, err := n.AssociatePhoneNumbersWithVoiceConnectorGroup(n.t.Context(), &chimesdkvoice.AssociatePhoneNumbersWithVoiceConnectorGroupInput{VoiceConnectorGroupId: id, E164PhoneNumbers: numbers, ForceAssociate: force})
	require.NoError(n.t, err)
	return out.PhoneNumberErrors
}

func TestPhoneNumbers(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	east := n.connector("east", "us-east-1")
	group := n.group("support", item(east, 1)).VoiceConnectorGroupId
	order := n.order("+15550000001", "+15550000002", "+15550000001")
	require.Equal(t, types.PhoneNumberOrderStatusSuccessful, order.Status)
	require.Equal(t, []types.OrderedPhoneNumber{
		{E164PhoneNumber: str("+15550000001"), Status: types.OrderedPhoneNumberStatusAcquired}, {E164PhoneNumber: str("+15550000002"), Status: types.OrderedPhoneNumberStatusAcquired},
	}, order.OrderedPhoneNumbers)
	require.Regexp(t, `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`, *order.PhoneNumberOrderId)

	one := n.number("+15550000001")
	require.Equal(t, []any{types.PhoneNumberStatusUnassigned, "+15550000001", types.PhoneNumberProductTypeVoiceConnector}, []any{one.Status, *one.E164PhoneNumber, one.ProductType})
	require.Empty(t, one.Associations)
	require.True(t, *one.Capabilities.InboundCall)

	require.Empty(t, n.toGroup(group, nil, "+15550000001"))
	one = n.number(*one.PhoneNumberId)
	require.Equal(t, types.PhoneNumberStatusAssigned, one.Status)
	require.Equal(t, []string{"VoiceConnectorGroupId", *group}, []string{string(one.Associations[0].Name), *one.Associations[0].Value})

	// Of a number that has an owner, and of one that is not there, nothing becomes;
	// of the others it does.
	failed := n.toConnector(east, no, "+15550000001", "+15550000002", "+15550000003")
	require.Equal(t, []string{"+15550000001", "+15550000003"}, []string{*failed[0].PhoneNumberId, *failed[1].PhoneNumberId})
	require.Equal(t, []types.ErrorCode{types.ErrorCodeConflict, types.ErrorCodeNotFound}, []types.ErrorCode{failed[0].ErrorCode, failed[1].ErrorCode})
	require.Contains(t, *failed[0].ErrorMessage, `belongs to group "support"`)
	require.Equal(t, "VoiceConnectorId", string(n.number("+15550000002").Associations[0].Name))
	require.Empty(t, n.toConnector(east, yes, "+15550000001"))
	require.Equal(t, *east, *n.number("+15550000001").Associations[0].Value)

	_, err := n.DeletePhoneNumber(ctx, &chimesdkvoice.DeletePhoneNumberInput{PhoneNumberId: str("+15550000001")})
	refused(t, err, 409, "ConflictException", `belongs to connector "east"; unassign it first`)
	_, err = n.DeleteVoiceConnector(ctx, &chimesdkvoice.DeleteVoiceConnectorInput{VoiceConnectorId: east})
	refused(t, err, 409, "ConflictException", "2 numbers", "+15550000001")

	wrong, err := n.DisassociatePhoneNumbersFromVoiceConnectorGroup(ctx, &chimesdkvoice.DisassociatePhoneNumbersFromVoiceConnectorGroupInput{VoiceConnectorGroupId: group, E164PhoneNumbers: []string{"+15550000001"}})
	require.NoError(t, err)
	require.Equal(t, types.ErrorCodeConflict, wrong.PhoneNumberErrors[0].ErrorCode)
	right, err := n.DisassociatePhoneNumbersFromVoiceConnector(ctx, &chimesdkvoice.DisassociatePhoneNumbersFromVoiceConnectorInput{VoiceConnectorId: east, E164PhoneNumbers: []string{"+15550000001"}})
	require.NoError(t, err)
	require.Empty(t, right.PhoneNumberErrors)
	_, err = n.DeletePhoneNumber(ctx, &chimesdkvoice.DeletePhoneNumberInput{PhoneNumberId: str("+15550000001")})
	require.NoError(t, err)
	_, err = n.GetPhoneNumber(ctx, &chimesdkvoice.GetPhoneNumberInput{PhoneNumberId: str("+15550000001")})
	refused(t, err, 404, "NotFoundException", "+15550000001 is not in the inventory")
	_, err = n.DeletePhoneNumber(ctx, &chimesdkvoice.DeletePhoneNumberInput{PhoneNumberId: str("+15550000001")})
	refused(t, err, 404, "NotFoundException")

	require.Equal(t, types.PhoneNumberOrderStatusPartial, n.order("+15550000002", "+15550000004").Status)
	require.Equal(t, types.PhoneNumberOrderStatusFailed, n.order("+15550000002").Status)
}

func TestPhoneNumbersRefused(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	east := n.connector("east", "us-east-1")
	order := func(in chimesdkvoice.CreatePhoneNumberOrderInput) error {
		_, err := n.CreatePhoneNumberOrder(ctx, &in)
		return err
	}
	voice := types.PhoneNumberProductTypeVoiceConnector
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: []string{"+1"}, ProductType: types.PhoneNumberProductTypeSipMediaApplicationDialIn}), 400, "BadRequestException", "ProductType")
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: []string{"+1"}, ProductType: voice, Name: str("x")}), 400, "BadRequestException", "Name: cannot be kept")
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: []string{}, ProductType: voice}), 400, "BadRequestException", "E164PhoneNumbers: is empty")
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: []string{"+1", "abc"}, ProductType: voice}), 400, "BadRequestException", `E164PhoneNumbers[1]: "abc" holds 'a'`)
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: []string{"+1555*"}, ProductType: voice}), 400, "BadRequestException", "/v1/numbers")
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: many, ProductType: voice}), 400, "BadRequestException", "at most 10000")
	many = make([]string, 200_000)
	for i := range many {
		many[i] = "+15550000001"
	}
	refused(t, order(chimesdkvoice.CreatePhoneNumberOrderInput{E164PhoneNumbers: many, ProductType: voice}), 400, "BadRequestException", "more than 1048576 bytes")
	_, err := n.AssociatePhoneNumbersWithVoiceConnector(ctx, &chimesdkvoice.AssociatePhoneNumbersWithVoiceConnectorInput{VoiceConnectorId: str("nobody"), E164PhoneNumbers: []string{"+1"}})
	refused(t, err, 404, "NotFoundException")
	_, err = n.GetPhoneNumber(ctx, &chimesdkvoice.GetPhoneNumberInput{PhoneNumberId: str("abc")})
	refused(t, err, 400, "BadRequestException", `PhoneNumberId: "abc" holds 'a'`)

	// A connector with numbers of its own is in one group at most.
	n.order("+15550000001")
	n.group("one", item(east, 1))
	n.group("two", item(east, 1))
	_, err = n.AssociatePhoneNumbersWithVoiceConnector(ctx, &chimesdkvoice.AssociatePhoneNumbersWithVoiceConnectorInput{VoiceConnectorId: east, E164PhoneNumbers: []string{"+15550000001"}})
	refused(t, err, 409, "ConflictException", `group "one"`, `group "two"`)

	for path, body := range map[string]string{
		"/voice-connectors/east?operation=associate-phone-numbers": `{"E164PhoneNumbers": ["+15550000001"`,
		"/voice-connectors/east?operation=nonsense":                `{}`,
		"/voice-connectors/east":                                   `{}`,
		"/voice-connectors":                                        `{"Name": "x", "Name": "y", "RequireEncryption": false}`,
		"/voice-connectors?dry_run=true":                           `{"Name": "x", "RequireEncryption": false}`,
		"/voice-connectors?x=1":                                    `{"Name": "x", "RequireEncryption": false}`,
		"/voice-connector-groups":                                  `{"Name": "x", "VoiceConnectorItems": [{"Priority": "1"}]}`,
		"/phone-number-orders":                                     `{"ProductType": "VoiceConnector", "E164PhoneNumbers": ["+1"], "Color": "red"}`,
	} {
		res, err := http.Post(n.addr+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, 400, res.StatusCode, path)
		require.Equal(t, "BadRequestException", res.Header.Get("X-Amzn-Errortype"))
	}
}

func TestListPhoneNumbers(t *testing.T) {
	n, ctx := newNode(t), t.Context()
	east := n.connector("east", "us-east-1")
	group := n.group("support", item(east, 1)).VoiceConnectorGroupId
	var all []string
	for i := range 25 {
		all = append(all, fmt.Sprintf("+155500000%02d", i))
	}
	n.order(all...)
	require.Empty(t, n.toConnector(east, nil, all[:5]...))
	require.Empty(t, n.toGroup(group, nil, all[5:12]...))
	res, err := http.Post(n.addr+"/v1/numbers", "application/json", strings.NewReader(`{"numbers": ["+1555*", "+15560000000-+15560000009"]}`))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())

	list := func(in chimesdkvoice.ListPhoneNumbersInput) (numbers []string) {
		for p := chimesdkvoice.NewListPhoneNumbersPaginator(n, &in); p.HasMorePages(); {
			page, err := p.NextPage(ctx)
			require.NoError(t, err)
			if in.MaxResults != nil {
				require.LessOrEqual(t, len(page.PhoneNumbers), int(*in.MaxResults))
			}
			for _, one := range page.PhoneNumbers {
				numbers = append(numbers, *one.E164PhoneNumber)
			}
		}
		return numbers
	}
	for _, most := range []*int32{nil, aws.Int32(1), aws.Int32(4), aws.Int32(5), aws.Int32(25), aws.Int32(100)} {
		in := func(change func(*chimesdkvoice.ListPhoneNumbersInput)) chimesdkvoice.ListPhoneNumbersInput {
			in := chimesdkvoice.ListPhoneNumbersInput{MaxResults: most}
			change(&in)
			return in
		}
		require.Equal(t, all, list(in(func(*chimesdkvoice.ListPhoneNumbersInput) {})), "no ranges, no prefixes")
		require.Equal(t, all[12:], list(in(func(in *chimesdkvoice.ListPhoneNumbersInput) { in.Status = str("Unassigned") })))
		require.Equal(t, all[:12], list(in(func(in *chimesdkvoice.ListPhoneNumbersInput) { in.Status = str("Assigned") })))
		require.Equal(t, all[:5], list(in(func(in *chimesdkvoice.ListPhoneNumbersInput) {
			in.FilterName, in.FilterValue = "VoiceConnectorId", east
		})))
		require.Equal(t, all[5:12], list(in(func(in *chimesdkvoice.ListPhoneNumbersInput) {
			in.FilterName, in.FilterValue, in.Status = "VoiceConnectorGroupId", group, str("Assigned")
		})))
		for _, change := range []func(*chimesdkvoice.ListPhoneNumbersInput){
			func(in *chimesdkvoice.ListPhoneNumbersInput) { in.Status = str("DeleteInProgress") },
			func(in *chimesdkvoice.ListPhoneNumbersInput) {
				in.ProductType = types.PhoneNumberProductTypeSipMediaApplicationDialIn
			},
			func(in *chimesdkvoice.ListPhoneNumbersInput) {
				in.FilterName, in.FilterValue, in.Status = "VoiceConnectorId", east, str("Unassigned")
			},
		} {
			require.Empty(t, list(in(change)))
		}
	}

	page, err := n.ListPhoneNumbers(ctx, &chimesdkvoice.ListPhoneNumbersInput{MaxResults: aws.Int32(2)})
	require.NoError(t, err)
	for says, in := range map[string]chimesdkvoice.ListPhoneNumbersInput{
		"NextToken":   {NextToken: page.NextToken, Status: str("Assigned")}, // of another question
		"FilterName":  {FilterName: types.PhoneNumberAssociationNameSipRuleId, FilterValue: str("x")},
		"FilterValue": {FilterName: types.PhoneNumberAssociationNameVoiceConnectorId},
		"Status":      {Status: str("lost")},
		"ProductType": {ProductType: "Fax"},
		"max-results": {MaxResults: aws.Int32(101)},
	} {
		_, err := n.ListPhoneNumbers(ctx, &in)
		refused(t, err, 400, "BadRequestException", says)
	}
	for _, forged := range []string{"a", "MTo", "MTovLyArMTU1NSo", "MTovLyBhYmM", strings.Repeat("A", 5000)} {
		_, err := n.ListPhoneNumbers(ctx, &chimesdkvoice.ListPhoneNumbersInput{NextToken: &forged})
		refused(t, err, 400, "BadRequestException", "NextToken")
	}
	_, err = n.ListPhoneNumbers(ctx, &chimesdkvoice.ListPhoneNumbersInput{FilterName: types.PhoneNumberAssociationNameVoiceConnectorId, FilterValue: str("nobody")})
	refused(t, err, 404, "NotFoundException")
}
