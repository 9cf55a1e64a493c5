// SWIG over the base headers: handles are long, text is byte[] (JNI strings are modified UTF-8), a failed status
// throws dev.pouch.PouchException, which is made in Java.
%module PouchNative

%{
#include <pouch.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

jbyteArray to_bytes(JNIEnv* env, const char* data, size_t size) {
  jbyteArray out = env->NewByteArray(static_cast<jsize>(size));
  if (out != nullptr && size > 0) {
    env->SetByteArrayRegion(out, 0, static_cast<jsize>(size), reinterpret_cast<const jbyte*>(data));
  }
  return out;
}

std::string to_string(JNIEnv* env, jbyteArray bytes) {
  std::string out(bytes == nullptr ? 0 : static_cast<size_t>(env->GetArrayLength(bytes)), '\0');
  if (!out.empty()) {
    env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(out.size()), reinterpret_cast<jbyte*>(out.data()));
  }
  return out;
}

// Throws PouchException.of(status, message, details, retriable) and frees the error.
void throw_error(JNIEnv* env, pouch_status_t status, pouch_error_t* error) {
  jclass type = env->FindClass("dev/pouch/PouchException");
  if (type != nullptr) {
    jmethodID of = env->GetStaticMethodID(type, "of", "(I[B[BZ)Ldev/pouch/PouchException;");
    const char* message = error != nullptr ? pouch_error_message(error) : pouch_status_name(status);
    const char* details = pouch_error_details_json(error);
    jbyteArray message_bytes = to_bytes(env, message, std::strlen(message));
    jbyteArray details_bytes = to_bytes(env, details, std::strlen(details));
    if (of != nullptr && message_bytes != nullptr && details_bytes != nullptr) {
      const jboolean retriable = pouch_error_is_retriable(error) != 0 ? JNI_TRUE : JNI_FALSE;
      jobject exception =
          env->CallStaticObjectMethod(type, of, static_cast<jint>(status), message_bytes, details_bytes, retriable);
      if (exception != nullptr) env->Throw(static_cast<jthrowable>(exception));
    }
  }
  pouch_error_free(error);
}

void set_long(JNIEnv* env, jlongArray array, jlong value) { env->SetLongArrayRegion(array, 0, 1, &value); }

}  // namespace
%}

%pragma(java) jniclassclassmodifiers="final class"
%pragma(java) moduleclassmodifiers="public final class"

// Opaque handles.
%define HANDLE(TYPE)
%typemap(jni) TYPE*, const TYPE* "jlong"
%typemap(jtype) TYPE*, const TYPE* "long"
%typemap(jstype) TYPE*, const TYPE* "long"
%typemap(in) TYPE*, const TYPE* "$1 = reinterpret_cast<TYPE*>($input);"
%typemap(out) TYPE*, const TYPE* "$result = reinterpret_cast<jlong>($1);"
%typemap(javain) TYPE*, const TYPE* "$javainput"
%typemap(javaout) TYPE*, const TYPE* { return $jnicall; }
%typemap(jni) TYPE** "jlongArray"
%typemap(jtype) TYPE** "long[]"
%typemap(jstype) TYPE** "long[]"
%typemap(javain) TYPE** "$javainput"
%typemap(in) TYPE** (TYPE* made = nullptr) "$1 = $input == nullptr ? nullptr : &made;"
%typemap(argout) TYPE** { if ($input != nullptr) set_long(jenv, $input, reinterpret_cast<jlong>(made$argnum)); }
%enddef
HANDLE(pouch_client_t)
HANDLE(pouch_stream_t)
HANDLE(pouch_cancel_t)

// Status and error: an exception, or the non-negative status (EOF, AGAIN).
%typemap(jni) pouch_status_t "jint"
%typemap(jtype) pouch_status_t "int"
%typemap(jstype) pouch_status_t "int"
%typemap(out) pouch_status_t "$result = $1;"
%typemap(in) pouch_status_t "$1 = $input;"
%typemap(javaout) pouch_status_t { return $jnicall; }
%typemap(javain) pouch_status_t "$javainput"
%typemap(in, numinputs=0) pouch_error_t** (pouch_error_t* failure = nullptr) "$1 = &failure;"
%typemap(argout) pouch_error_t** {
  if (result < 0) throw_error(jenv, result, failure$argnum);
}

// Text in and out.
%typemap(jni) const char* "jbyteArray"
%typemap(jtype) const char* "byte[]"
%typemap(jstype) const char* "byte[]"
%typemap(javain) const char* "$javainput"
%typemap(javaout) const char* { return $jnicall; }
%typemap(in) const char* (std::string text) {
  if ($input != nullptr) text = to_string(jenv, $input);
  $1 = $input != nullptr ? text.data() : nullptr;
}
%typemap(freearg) const char* ""
%typemap(out) const char* "$result = to_bytes(jenv, $1 != nullptr ? $1 : \"\", $1 != nullptr ? std::strlen($1) : 0);"

%typemap(jni) (const char* const* ids, size_t id_count) "jobjectArray"
%typemap(jtype) (const char* const* ids, size_t id_count) "byte[][]"
%typemap(jstype) (const char* const* ids, size_t id_count) "byte[][]"
%typemap(javain) (const char* const* ids, size_t id_count) "$javainput"
%typemap(in) (const char* const* ids, size_t id_count) (std::vector<std::string> texts, std::vector<char*> pointers) {
  const jsize count = $input == nullptr ? 0 : jenv->GetArrayLength($input);
  for (jsize i = 0; i < count; ++i) {
    jobject element = jenv->GetObjectArrayElement($input, i);
    texts.push_back(to_string(jenv, static_cast<jbyteArray>(element)));
    jenv->DeleteLocalRef(element);
  }
  for (std::string& text : texts) pointers.push_back(text.data());
  $1 = pointers.data();
  $2 = pointers.size();
}

// The answer goes to element 0 of a byte[][]; null when there is none.
%typemap(jni) pouch_buf_t* result_json "jobjectArray"
%typemap(jtype) pouch_buf_t* result_json "byte[][]"
%typemap(jstype) pouch_buf_t* result_json "byte[][]"
%typemap(javain) pouch_buf_t* result_json "$javainput"
%typemap(in) pouch_buf_t* result_json (pouch_buf_t answer = POUCH_BUF_INIT) "$1 = &answer;"
%typemap(argout) pouch_buf_t* result_json {
  if (answer$argnum.data != nullptr && answer$argnum.size > 0) {
    jenv->SetObjectArrayElement($input, 0, to_bytes(jenv, answer$argnum.data, answer$argnum.size));
  }
  pouch_buf_free(&answer$argnum);
}

// Deadline, token and name are read from the fields of a Call.Native.
%typemap(jni) const pouch_call_t* call "jobject"
%typemap(jtype) const pouch_call_t* call "dev.pouch.Call.Native"
%typemap(jstype) const pouch_call_t* call "dev.pouch.Call.Native"
%typemap(javain) const pouch_call_t* call "$javainput"
%typemap(in) const pouch_call_t* call (pouch_call_t with = POUCH_CALL_INIT, std::string call_name) {
  if ($input != nullptr) {
    jclass type = jenv->GetObjectClass($input);
    with.deadline_ms = jenv->GetLongField($input, jenv->GetFieldID(type, "deadlineMs", "J"));
    with.cancel = reinterpret_cast<pouch_cancel_t*>(jenv->GetLongField($input, jenv->GetFieldID(type, "token", "J")));
    jobject name = jenv->GetObjectField($input, jenv->GetFieldID(type, "requestId", "[B"));
    if (name != nullptr) {
      call_name = to_string(jenv, static_cast<jbyteArray>(name));
      with.request_id = call_name.c_str();
    }
  }
  $1 = &with;
}

// An int[]: the level of what is logged to stderr, session.
%typemap(jni) const pouch_client_options_t* options "jintArray"
%typemap(jtype) const pouch_client_options_t* options "int[]"
%typemap(jstype) const pouch_client_options_t* options "int[]"
%typemap(javain) const pouch_client_options_t* options "$javainput"
%typemap(in) const pouch_client_options_t* options (pouch_client_options_t with = POUCH_CLIENT_OPTIONS_INIT) {
  jint fields[2] = {0, 0};
  jenv->GetIntArrayRegion($input, 0, 2, fields);
  with.log_level = static_cast<uint32_t>(fields[0]);
  with.session = static_cast<uint32_t>(fields[1]);
  $1 = &with;
}

// A frame fills {channel, dropped} and element 0 of a byte[][].
%typemap(jni) pouch_frame_t* frame "jobject"
%typemap(jtype) pouch_frame_t* frame "dev.pouch.Frame.Slot"
%typemap(jstype) pouch_frame_t* frame "dev.pouch.Frame.Slot"
%typemap(javain) pouch_frame_t* frame "$javainput"
%typemap(in) pouch_frame_t* frame (pouch_frame_t got = POUCH_FRAME_INIT) "$1 = &got;"
%typemap(argout) pouch_frame_t* frame {
  if (result == POUCH_OK) {
    jclass type = jenv->GetObjectClass($input);
    jenv->SetIntField($input, jenv->GetFieldID(type, "channel", "I"), static_cast<jint>(got$argnum.channel));
    jenv->SetIntField($input, jenv->GetFieldID(type, "dropped", "I"), static_cast<jint>(got$argnum.flags));
    jobject data = to_bytes(jenv, got$argnum.data, got$argnum.size);
    jenv->SetObjectField($input, jenv->GetFieldID(type, "data", "[B"), data);
  }
}

// Bytes to write; how many were taken goes to element 0 of a long[].
%typemap(jni) (const void* data, size_t size) "jbyteArray"
%typemap(jtype) (const void* data, size_t size) "byte[]"
%typemap(jstype) (const void* data, size_t size) "byte[]"
%typemap(javain) (const void* data, size_t size) "$javainput"
%typemap(in) (const void* data, size_t size) (std::string bytes) {
  bytes = to_string(jenv, $input);
  $1 = bytes.data();
  $2 = bytes.size();
}
%typemap(jni) size_t* written "jlongArray"
%typemap(jtype) size_t* written "long[]"
%typemap(jstype) size_t* written "long[]"
%typemap(javain) size_t* written "$javainput"
%typemap(in) size_t* written (size_t taken = 0) "$1 = &taken;"
%typemap(argout) size_t* written "set_long(jenv, $input, static_cast<jlong>(taken$argnum));"

%include <stdint.i>
%ignore pouch_buf_t;
%ignore pouch_buf_free;
%ignore pouch_call_t;
%ignore pouch_client_options_t;
%ignore pouch_frame_t;
%ignore pouch_error_code;
%ignore pouch_error_message;
%ignore pouch_error_details_json;
%ignore pouch_error_is_retriable;
%ignore pouch_error_free;
%ignore POUCH_BUF_INIT;
%ignore POUCH_CALL_INIT;
%ignore POUCH_CLIENT_OPTIONS_INIT;
%ignore POUCH_FRAME_INIT;
%include "pouch/base.h"
%include "pouch/error.h"
%include "pouch/client.h"
%include "pouch/stream.h"
%include "pouch/log.h"
