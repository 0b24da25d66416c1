use std::fmt;

/// An error code of the API: `InvalidParameterValue`, or `ResourceUnavailable.InstanceLockedError`.
pub type Code = &'static str;

/// The codes that the service answers, by their parents. Facts of the public interface.
pub mod code {
    #![allow(missing_docs, reason = "the value is the whole meaning")]
    #![allow(non_upper_case_globals, reason = "named as the API spells them")]
    macro_rules! codes { ($($name:ident = $text:literal),+ $(,)?) => { $(pub const $name: super::Code = $text;)+ }; }
    codes! {
        ActionOffline = "ActionOffline",
        AuthFailureInvalidAuthorization = "AuthFailure.InvalidAuthorization",
        AuthFailureSecretIdNotFound = "AuthFailure.SecretIdNotFound",
        AuthFailureSignatureExpire = "AuthFailure.SignatureExpire",
        AuthFailureSignatureFailure = "AuthFailure.SignatureFailure",
        AuthFailureTokenFailure = "AuthFailure.TokenFailure",
        AuthFailureUnauthorizedOperation = "AuthFailure.UnauthorizedOperation",
        DryRunOperation = "DryRunOperation",
        FailedOperationProjectNumExceed = "FailedOperation.ProjectNumExceed",
        FailedOperationRedoFlowFailed = "FailedOperation.RedoFlowFailed",
        FailedOperationSystemError = "FailedOperation.SystemError",
        FailedOperationUnSupportError = "FailedOperation.UnSupportError",
        FailedOperationUnknown = "FailedOperation.Unknown",
        InternalError = "InternalError",
        InternalErrorDbOperationFailed = "InternalError.DbOperationFailed",
        InvalidAction = "InvalidAction",
        InvalidParameter = "InvalidParameter",
        InvalidParameterCoexist = "InvalidParameter.Coexist",
        InvalidParameterEmptyParam = "InvalidParameter.EmptyParam",
        InvalidParameterFilterInvalidKey = "InvalidParameter.FilterInvalidKey",
        InvalidParameterInstanceSGOverLimitError = "InvalidParameter.InstanceSGOverLimitError",
        InvalidParameterInvalidParameter = "InvalidParameter.InvalidParameter",
        InvalidParameterNotSupported = "InvalidParameter.NotSupported",
        InvalidParameterPaginationTokenInvalid = "InvalidParameter.PaginationTokenInvalid",
        InvalidParameterPeriod = "InvalidParameter.Period",
        InvalidParameterProjectNameExisted = "InvalidParameter.ProjectNameExisted",
        InvalidParameterUnsupportedService = "InvalidParameter.UnsupportedService",
        InvalidParameterValue = "InvalidParameterValue",
        InvalidParameterValueCheckNotPass = "InvalidParameterValue.CheckNotPass",
        InvalidParameterValueDeleteTagsParamError = "InvalidParameterValue.DeleteTagsParamError",
        InvalidParameterValueInstanceNameRuleError = "InvalidParameterValue.InstanceNameRuleError",
        InvalidParameterValueInvalidInstanceTypeId = "InvalidParameterValue.InvalidInstanceTypeId",
        InvalidParameterValueInvalidSubnetId = "InvalidParameterValue.InvalidSubnetId",
        InvalidParameterValueLimitExceeded = "InvalidParameterValue.LimitExceeded",
        InvalidParameterValueMalformed = "InvalidParameterValue.Malformed",
        InvalidParameterValueMemSizeNotInRange = "InvalidParameterValue.MemSizeNotInRange",
        InvalidParameterValueOffsetInvalid = "InvalidParameterValue.OffsetInvalid",
        InvalidParameterValuePasswordEmpty = "InvalidParameterValue.PasswordEmpty",
        InvalidParameterValuePasswordError = "InvalidParameterValue.PasswordError",
        InvalidParameterValuePasswordFreeDenied = "InvalidParameterValue.PasswordFreeDenied",
        InvalidParameterValuePasswordRuleError = "InvalidParameterValue.PasswordRuleError",
        InvalidParameterValueRange = "InvalidParameterValue.Range",
        InvalidParameterValueReduceCapacityNotAllowed = "InvalidParameterValue.ReduceCapacityNotAllowed",
        InvalidParameterValueRegionInvalid = "InvalidParameterValue.RegionInvalid",
        InvalidParameterValueResourceDescriptionError = "InvalidParameterValue.ResourceDescriptionError",
        InvalidParameterValueResourceIdInvalid = "InvalidParameterValue.ResourceIdInvalid",
        InvalidParameterValueResourcePrefixInvalid = "InvalidParameterValue.ResourcePrefixInvalid",
        InvalidParameterValueSecurityGroupIdsNotExists = "InvalidParameterValue.SecurityGroupIdsNotExists",
        InvalidParameterValueSpecNotExist = "InvalidParameterValue.SpecNotExist",
        InvalidParameterValueSubnetConflict = "InvalidParameterValue.SubnetConflict",
        InvalidParameterValueSubnetOverlap = "InvalidParameterValue.SubnetOverlap",
        InvalidParameterValueSubnetRange = "InvalidParameterValue.SubnetRange",
        InvalidParameterValueTagFiltersLengthExceeded = "InvalidParameterValue.TagFiltersLengthExceeded",
        InvalidParameterValueTagKeyCharacterIllegal = "InvalidParameterValue.TagKeyCharacterIllegal",
        InvalidParameterValueTagKeyDuplicate = "InvalidParameterValue.TagKeyDuplicate",
        InvalidParameterValueTagKeyEmpty = "InvalidParameterValue.TagKeyEmpty",
        InvalidParameterValueTagKeyLengthExceeded = "InvalidParameterValue.TagKeyLengthExceeded",
        InvalidParameterValueTagValueCharacterIllegal = "InvalidParameterValue.TagValueCharacterIllegal",
        InvalidParameterValueTagValueLengthExceeded = "InvalidParameterValue.TagValueLengthExceeded",
        InvalidParameterValueTooLong = "InvalidParameterValue.TooLong",
        InvalidParameterValueUinInvalid = "InvalidParameterValue.UinInvalid",
        InvalidParameterValueUnSupportedType = "InvalidParameterValue.UnSupportedType",
        InvalidParameterValueUnVpcIdNotExists = "InvalidParameterValue.UnVpcIdNotExists",
        InvalidParameterValueUnavailableZone = "InvalidParameterValue.UnavailableZone",
        InvalidRequest = "InvalidRequest",
        InvalidSecurityGroupIDMalformed = "InvalidSecurityGroupID.Malformed",
        InvalidSecurityGroupIDNotFound = "InvalidSecurityGroupID.NotFound",
        LimitExceeded = "LimitExceeded",
        LimitExceededInvalidMemSize = "LimitExceeded.InvalidMemSize",
        LimitExceededInvalidParameterGoodsNumNotInRange = "LimitExceeded.InvalidParameterGoodsNumNotInRange",
        LimitExceededMemSizeNotInRange = "LimitExceeded.MemSizeNotInRange",
        LimitExceededPeriodExceedMaxLimit = "LimitExceeded.PeriodExceedMaxLimit",
        LimitExceededPeriodLessThanMinLimit = "LimitExceeded.PeriodLessThanMinLimit",
        LimitExceededResourceAttachedTags = "LimitExceeded.ResourceAttachedTags",
        LimitExceededResourceNumPerRequest = "LimitExceeded.ResourceNumPerRequest",
        LimitExceededSecurityGroupPolicySet = "LimitExceeded.SecurityGroupPolicySet",
        LimitExceededTagNumPerRequest = "LimitExceeded.TagNumPerRequest",
        MissingParameter = "MissingParameter",
        NoSuchProduct = "NoSuchProduct",
        NoSuchVersion = "NoSuchVersion",
        RequestLimitExceeded = "RequestLimitExceeded",
        RequestSizeLimitExceeded = "RequestSizeLimitExceeded",
        ResourceInUse = "ResourceInUse",
        ResourceInUseInstanceBeenLocked = "ResourceInUse.InstanceBeenLocked",
        ResourceInsufficient = "ResourceInsufficient",
        ResourceNotFound = "ResourceNotFound",
        ResourceNotFoundAccountDoesNotExists = "ResourceNotFound.AccountDoesNotExists",
        ResourceNotFoundInstanceNotExists = "ResourceNotFound.InstanceNotExists",
        ResourceNotFoundInstanceNotFound = "ResourceNotFound.InstanceNotFound",
        ResourceNotFoundRecordNotFound = "ResourceNotFound.RecordNotFound",
        ResourceUnavailableInstanceConfError = "ResourceUnavailable.InstanceConfError",
        ResourceUnavailableInstanceDeleted = "ResourceUnavailable.InstanceDeleted",
        ResourceUnavailableInstanceIsolated = "ResourceUnavailable.InstanceIsolated",
        ResourceUnavailableInstanceLockedError = "ResourceUnavailable.InstanceLockedError",
        ResourceUnavailableInstanceNotSupportOperation = "ResourceUnavailable.InstanceNotSupportOperation",
        ResourceUnavailableInstanceStateError = "ResourceUnavailable.InstanceStateError",
        ResourceUnavailableInstanceStatusAbnormal = "ResourceUnavailable.InstanceStatusAbnormal",
        ResourceUnavailableInstanceStatusError = "ResourceUnavailable.InstanceStatusError",
        ResourceUnavailableNoEnoughVipInVPC = "ResourceUnavailable.NoEnoughVipInVPC",
        ResourceUnavailableNoTypeIdRedisService = "ResourceUnavailable.NoTypeIdRedisService",
        ServiceUnavailable = "ServiceUnavailable",
        UnknownParameter = "UnknownParameter",
        UnsupportedOperation = "UnsupportedOperation",
        UnsupportedOperationDuplicatePolicy = "UnsupportedOperation.DuplicatePolicy",
        UnsupportedOperationInstanceNotOperation = "UnsupportedOperation.InstanceNotOperation",
        UnsupportedOperationIsAutoRenewError = "UnsupportedOperation.IsAutoRenewError",
        UnsupportedOperationVersionMismatch = "UnsupportedOperation.VersionMismatch",
        UnsupportedProtocol = "UnsupportedProtocol",
        UnsupportedRegion = "UnsupportedRegion",
    }
}

/// A message in the two languages that clients ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// English, the default.
    pub en: String,
    /// Simplified Chinese.
    pub zh: String,
}

impl Text {
    /// A message in both languages.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Text { en: en.into(), zh: zh.into() }
    }
}

/// What an action answers in place of its result: a code that programs decide on, and a message for the person
/// who has to do something about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: Text,
}

impl ApiError {
    /// An error with its message in English and in Chinese.
    pub fn new(code: Code, en: impl Into<String>, zh: impl Into<String>) -> Self {
        ApiError { code, message: Text::new(en, zh) }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message.en)
    }
}

impl std::error::Error for ApiError {}
