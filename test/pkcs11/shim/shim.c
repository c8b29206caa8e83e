/*
 * A PKCS#11 module that hands every call to another one and, where it is told to, goes wrong on the way.
 *
 * COUNTERSIGN_PKCS11_SHIM_MODULE names the module behind it, COUNTERSIGN_PKCS11_SHIM a folder. In the folder it writes a line to the
 * file "log" for each call that it watches, without what was given to it, and looks for files that tell it to fail:
 *
 *   C_Name.hang              does not come back as long as the file is there
 *   C_Name.crash[-once]      reads address 0
 *   C_Name.rv[-once]         returns the number that the file holds, and does nothing
 *   C_Name.rv-at             holds two numbers, and returns the second once it was called as often as the first says
 *   C_SignInit.logout-once, C_SignInit.close-all-once, C_SignInit.finalize-once
 *                            does first what somebody else in the process might do
 *   C_Sign.garble            turns one bit of the signature round
 *   C_Sign.rv-until-init     returns the number that the file holds until the module is initialised
 *   C_Sign.delay             takes as many milliseconds as the file holds
 *   C_OpenSession.limit      CKR_SESSION_COUNT beyond that many sessions
 *   C_GetTokenInfo.flags     adds these flags
 *   C_GetTokenInfo.no-label  blanks only
 *   C_GetAttributeValue.bare the point of an EC key without its DER wrapping
 *   C_Initialize.parameters  wants exactly these library parameters
 *   C_Initialize.prints      writes to standard output and standard error
 *   mechanisms.hashing       has CKM_ECDSA_SHA256 to SHA512 in place of CKM_ECDSA
 *
 * The log has "C_Finalize.under-C_Sign" where a module was finalised under a running call.
 *
 * "-once" removes the file first, so that one process in one call goes wrong.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <pkcs11/pkcs11.h>

static CK_FUNCTION_LIST_PTR real;
static CK_FUNCTION_LIST own;
static CK_ULONG open_sessions;
static int signing;

static void path_of(char *path, size_t size, const char *function, const char *what) {
  const char *folder = getenv("COUNTERSIGN_PKCS11_SHIM");
  snprintf(path, size, "%s/%s.%s", folder ? folder : "/nonexistent", function, what);
}

static int told(const char *function, const char *what, char *content, size_t size) {
  char path[512];
  path_of(path, sizeof path, function, what);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  ssize_t length = content ? read(file, content, size - 1) : 0;
  if (content) content[length < 0 ? 0 : length] = 0;
  close(file);
  return 1;
}

static int told_once(const char *function, const char *what, char *content, size_t size) {
  char path[512];
  path_of(path, sizeof path, function, what);
  return told(function, what, content, size) && unlink(path) == 0;
}

static unsigned long number_of(const char *function, const char *what, unsigned long otherwise) {
  char content[64];
  return told(function, what, content, sizeof content) ? strtoul(content, NULL, 0) : otherwise;
}

/* Counts down in the file, so that it does not matter which process is asked. */
static CK_RV told_at(const char *function) {
  char path[512];
  char content[64];
  unsigned long left;
  unsigned long rv;
  if (!told(function, "rv-at", content, sizeof content)) return CKR_OK;
  if (sscanf(content, "%lu %lu", &left, &rv) != 2) return CKR_GENERAL_ERROR;
  path_of(path, sizeof path, function, "rv-at");
  if (left == 0) return unlink(path) == 0 ? rv : CKR_OK;
  FILE *file = fopen(path, "w");
  if (file == NULL) return CKR_GENERAL_ERROR;
  fprintf(file, "%lu %lu", left - 1, rv);
  fclose(file);
  return CKR_OK;
}

static void note(const char *function, unsigned long detail) {
  static int file = -1;
  char line[128];
  if (file < 0) {
    char path[512];
    const char *folder = getenv("COUNTERSIGN_PKCS11_SHIM");
    snprintf(path, sizeof path, "%s/log", folder ? folder : "/nonexistent");
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  }
  int length = snprintf(line, sizeof line, "%d %s %lu\n", (int)getpid(), function, detail);
  if (file >= 0 && write(file, line, (size_t)length) < 0) return;
}

/* What the folder says of a call, before it is made. */
static CK_RV before(const char *function, unsigned long detail) {
  char content[64];
  note(function, detail);
  while (told(function, "hang", NULL, 0)) usleep(5000);
  if (told(function, "crash", NULL, 0) || told_once(function, "crash-once", NULL, 0)) {
    volatile int *nowhere = NULL;
    *nowhere = 0;
  }
  if (told_once(function, "rv-once", content, sizeof content)) return strtoul(content, NULL, 0);
  CK_RV rv = told_at(function);
  return rv == CKR_OK ? number_of(function, "rv", CKR_OK) : rv;
}

#define WATCHED(name, detail) \
  do { \
    CK_RV rv = before(#name, (unsigned long)(detail)); \
    if (rv != CKR_OK) return rv; \
  } while (0)

static CK_RV initialize(CK_VOID_PTR arguments) {
  WATCHED(C_Initialize, 0);
  if (told("C_Initialize", "prints", NULL, 0)) dprintf(1, "a word\n"), dprintf(2, "another\n");
  told_once("C_Sign", "rv-until-init", NULL, 0);
  char wanted[256];
  if (!told("C_Initialize", "parameters", wanted, sizeof wanted)) return real->C_Initialize(arguments);
  CK_C_INITIALIZE_ARGS copy = *(CK_C_INITIALIZE_ARGS *)arguments;
  const char *given = copy.pReserved;
  if (given == NULL || strcmp(given, wanted) != 0) return CKR_ARGUMENTS_BAD;
  copy.pReserved = NULL;
  return real->C_Initialize(&copy);
}

static CK_RV finalize(CK_VOID_PTR reserved) {
  WATCHED(C_Finalize, 0);
  if (__atomic_load_n(&signing, __ATOMIC_SEQ_CST) > 0) note("C_Finalize.under-C_Sign", 0);
  open_sessions = 0;
  return real->C_Finalize(reserved);
}

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info) {
  WATCHED(C_GetTokenInfo, slot);
  CK_RV rv = real->C_GetTokenInfo(slot, info);
  if (rv != CKR_OK) return rv;
  info->flags |= number_of("C_GetTokenInfo", "flags", 0);
  if (told("C_GetTokenInfo", "no-label", NULL, 0)) memset(info->label, ' ', sizeof info->label);
  return rv;
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count) {
  WATCHED(C_GetMechanismList, slot);
  if (!told("mechanisms", "hashing", NULL, 0)) return real->C_GetMechanismList(slot, list, count);
  if (list != NULL && *count >= 3) {
    list[0] = 0x1044;
    list[1] = 0x1045;
    list[2] = 0x1046;
  }
  *count = 3;
  return CKR_OK;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE_PTR session) {
  WATCHED(C_OpenSession, slot);
  if (open_sessions >= number_of("C_OpenSession", "limit", 1000000)) return CKR_SESSION_COUNT;
  CK_RV rv = real->C_OpenSession(slot, flags, application, notify, session);
  if (rv == CKR_OK) open_sessions++;
  return rv;
}

static CK_RV close_session(CK_SESSION_HANDLE session) {
  WATCHED(C_CloseSession, session);
  CK_RV rv = real->C_CloseSession(session);
  if (rv == CKR_OK) open_sessions--;
  return rv;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG length) {
  WATCHED(C_Login, user);
  return real->C_Login(session, user, pin, length);
}

static CK_RV find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR template, CK_ULONG count) {
  WATCHED(C_FindObjectsInit, session);
  return real->C_FindObjectsInit(session, template, count);
}

static CK_RV find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG most,
                          CK_ULONG_PTR count) {
  WATCHED(C_FindObjects, session);
  return real->C_FindObjects(session, objects, most, count);
}

static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR template,
                                 CK_ULONG count) {
  WATCHED(C_GetAttributeValue, count == 1 ? template[0].type : 0);
  CK_RV rv = real->C_GetAttributeValue(session, object, template, count);
  if (rv == CKR_OK && count == 1 && template[0].type == CKA_EC_POINT && template[0].pValue != NULL &&
      told("C_GetAttributeValue", "bare", NULL, 0)) {
    CK_BYTE *point = template[0].pValue;
    CK_ULONG header = point[1] == 0x81 ? 3 : 2;
    template[0].ulValueLen -= header;
    memmove(point, point + header, template[0].ulValueLen);
  }
  return rv;
}

/* The hash that the next C_Sign of this thread's session is to make first. */
#define SESSIONS 256
static CK_MECHANISM_TYPE hashing[SESSIONS];
static CK_SLOT_ID slot_of(CK_SESSION_HANDLE session) {
  CK_SESSION_INFO info;
  return real->C_GetSessionInfo(session, &info) == CKR_OK ? info.slotID : 0;
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key) {
  WATCHED(C_SignInit, mechanism->mechanism);
  if (told_once("C_SignInit", "logout-once", NULL, 0)) real->C_Logout(session);
  if (told_once("C_SignInit", "close-all-once", NULL, 0)) real->C_CloseAllSessions(slot_of(session));
  if (told_once("C_SignInit", "finalize-once", NULL, 0)) real->C_Finalize(NULL);
  if (!told("mechanisms", "hashing", NULL, 0)) return real->C_SignInit(session, mechanism, key);
  static const CK_MECHANISM_TYPE hashes[] = {CKM_SHA256, CKM_SHA384, CKM_SHA512};
  if (mechanism->mechanism < 0x1044 || mechanism->mechanism > 0x1046) return CKR_MECHANISM_INVALID;
  CK_MECHANISM plain = {CKM_ECDSA, NULL, 0};
  hashing[session % SESSIONS] = hashes[mechanism->mechanism - 0x1044];
  return real->C_SignInit(session, &plain, key);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR signature,
                  CK_ULONG_PTR signature_length) {
  WATCHED(C_Sign, session);
  unsigned long stuck = number_of("C_Sign", "rv-until-init", CKR_OK);
  if (stuck != CKR_OK) return stuck;
  CK_BYTE digest[64];
  if (told("mechanisms", "hashing", NULL, 0)) {
    CK_SESSION_HANDLE helper;
    CK_MECHANISM hash = {hashing[session % SESSIONS], NULL, 0};
    CK_ULONG digest_length = sizeof digest;
    CK_RV rv = real->C_OpenSession(slot_of(session), CKF_SERIAL_SESSION, NULL, NULL, &helper);
    if (rv == CKR_OK) rv = real->C_DigestInit(helper, &hash);
    if (rv == CKR_OK) rv = real->C_Digest(helper, data, length, digest, &digest_length);
    real->C_CloseSession(helper);
    if (rv != CKR_OK) return rv;
    data = digest;
    length = digest_length;
  }
  __atomic_add_fetch(&signing, 1, __ATOMIC_SEQ_CST);
  unsigned long delay = number_of("C_Sign", "delay", 0);
  if (delay > 0) usleep((useconds_t)delay * 1000);
  CK_RV rv = real->C_Sign(session, data, length, signature, signature_length);
  __atomic_sub_fetch(&signing, 1, __ATOMIC_SEQ_CST);
  if (rv == CKR_OK && signature != NULL && told("C_Sign", "garble", NULL, 0)) signature[8] ^= 1;
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list) {
  if (real == NULL) {
    const char *path = getenv("COUNTERSIGN_PKCS11_SHIM_MODULE");
    void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    CK_C_GetFunctionList get = module ? (CK_C_GetFunctionList)dlsym(module, "C_GetFunctionList") : NULL;
    if (get == NULL || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
    own = *real;
    own.C_GetFunctionList = C_GetFunctionList;
    own.C_Initialize = initialize;
    own.C_Finalize = finalize;
    own.C_GetTokenInfo = get_token_info;
    own.C_GetMechanismList = get_mechanism_list;
    own.C_OpenSession = open_session;
    own.C_CloseSession = close_session;
    own.C_Login = login;
    own.C_FindObjectsInit = find_objects_init;
    own.C_FindObjects = find_objects;
    own.C_GetAttributeValue = get_attribute_value;
    own.C_SignInit = sign_init;
    own.C_Sign = sign;
  }
  *list = &own;
  return CKR_OK;
}
