/** The numbers of PKCS#11 3.1 that are used here; `pkcs11js` lacks some of them. */
export const CKF_SERIAL_SESSION = 0x4
export const CKF_OS_LOCKING_OK = 0x2

export const CKF_LOGIN_REQUIRED = 0x4
export const CKF_PROTECTED_AUTHENTICATION_PATH = 0x100
export const CKF_USER_PIN_COUNT_LOW = 0x10000
export const CKF_USER_PIN_FINAL_TRY = 0x20000
export const CKF_USER_PIN_LOCKED = 0x40000

export const CKU_USER = 1
export const CKU_CONTEXT_SPECIFIC = 2

export const CKS_RO_USER_FUNCTIONS = 1
export const CKS_RW_USER_FUNCTIONS = 3

export const CKO_CERTIFICATE = 1
export const CKO_PUBLIC_KEY = 2
export const CKO_PRIVATE_KEY = 3

export const CKK_RSA = 0
export const CKK_EC = 3
export const CKK_EC_EDWARDS = 0x40

export const CKA_CLASS = 0
export const CKA_LABEL = 3
export const CKA_VALUE = 0x11
export const CKA_KEY_TYPE = 0x100
export const CKA_ID = 0x102
export const CKA_MODULUS = 0x120
export const CKA_PUBLIC_EXPONENT = 0x122
export const CKA_EC_PARAMS = 0x180
export const CKA_EC_POINT = 0x181
export const CKA_ALWAYS_AUTHENTICATE = 0x202

export const CK_PARAMS_RSA_PSS = 5
