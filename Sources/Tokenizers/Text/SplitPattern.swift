import ModelFormats
import CPCRE2

/// A compiled regular expression over UTF-8 bytes.
///
/// `@unchecked Sendable`: compiled PCRE2 code is immutable and may be matched by many threads at
/// once (pcre2api, "Multithreading"); every match brings its own match data.
final class SplitPattern: @unchecked Sendable {
  private let code: OpaquePointer
  /// Steps of one match: an expression that backtracks without end gives an error after about a
  /// second.
  private static let stepLimit: UInt32 = 20_000_000
  private static let heapLimitKilobytes: UInt32 = 128 * 1024

  /// - Parameter expression: in Oniguruma's Ruby syntax.
  /// - Throws: `TokenizerError` with PCRE2's reason.
  init(_ expression: String) throws {
    let translated = try PatternTranslator.translate(expression)
    let context = pcre2_compile_context_create_8(nil)
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    var errorCode: Int32 = 0
    var errorOffset = 0
    // In Ruby's syntax ^ and $ match at every line.
    let options = UInt32(PCRE2_UTF) | UInt32(PCRE2_UCP) | UInt32(PCRE2_MULTILINE)
    let pattern = Array(translated.utf8)
    guard
      let code = pcre2_compile_8(
        pattern, pattern.count, options, &errorCode, &errorOffset, context)
    else {
      let reason = "\(Self.message(errorCode)) in \(quoted(expression))"
      throw TokenizerError(.expression, reason)
    }
    self.code = code
    // Without the just-in-time compiler the interpreter does the same, slower.
    _ = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE))
  }

  deinit { pcre2_code_free_8(code) }

  private static func message(_ code: Int32) -> String {
    var buffer = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(code, &buffer, buffer.count)
    return length > 0
      ? String(decoding: buffer.prefix(Int(length)), as: UTF8.self) : "error \(code)"
  }

  /// The matches inside `range` of valid UTF-8, in order; what lies outside the range is invisible
  /// to the expression. Empty matches count, except one that stands where the match before it
  /// ended.
  ///
  /// - Throws: `TokenizerError` when a match exceeds its limits.
  func matches(in bytes: [UInt8], _ range: Range<Int>) throws -> [Range<Int>] {
    try matches(in: bytes, range, with: Matcher(code: code))
  }

  /// For many calls in a row: what a match needs is made once.
  func matcher() -> Matcher { Matcher(code: code) }

  func matches(
    in bytes: [UInt8], _ range: Range<Int>, with matcher: Matcher
  ) throws -> [Range<Int>] {
    var found: [Range<Int>] = []
    try bytes[range].withUnsafeBufferPointer { subject in
      var start = 0
      var previousEnd = -1
      while start <= subject.count, let match = try matcher.next(in: subject, from: start) {
        if match.isEmpty, match.upperBound == previousEnd {
          start += start < subject.count ? sequenceLength(subject[start]) : 1
          continue
        }
        found.append(range.lowerBound + match.lowerBound..<range.lowerBound + match.upperBound)
        start = match.upperBound
        previousEnd = match.upperBound
      }
    }
    return found
  }

  /// The mutable state of matching one subject.
  final class Matcher {
    private let code: OpaquePointer
    private let data: OpaquePointer?
    private let context: OpaquePointer?
    private var jitStack: OpaquePointer?
    private var options = UInt32(PCRE2_NO_UTF_CHECK)

    fileprivate init(code: OpaquePointer) {
      self.code = code
      data = pcre2_match_data_create_8(1, nil)
      context = pcre2_match_context_create_8(nil)
      pcre2_set_match_limit_8(context, SplitPattern.stepLimit)
      pcre2_set_heap_limit_8(context, SplitPattern.heapLimitKilobytes)
    }

    deinit {
      pcre2_match_context_free_8(context)
      pcre2_match_data_free_8(data)
      pcre2_jit_stack_free_8(jitStack)
    }

    fileprivate func next(in subject: UnsafeBufferPointer<UInt8>, from start: Int) throws -> Range<
      Int
    >? {
      while true {
        // `NO_UTF_CHECK`, because each call would check the whole rest again; subjects come from
        // Swift strings.
        let count = pcre2_match_8(
          code, subject.baseAddress, subject.count, start, options, data, context)
        if count == PCRE2_ERROR_NOMATCH { return nil }
        if count == PCRE2_ERROR_JIT_STACKLIMIT, enlargeStack() { continue }
        guard count >= 0, let vector = pcre2_get_ovector_pointer_8(data) else {
          throw TokenizerError(.expression, SplitPattern.message(count))
        }
        // \K can put the start behind the end.
        return min(vector[0], vector[1])..<vector[1]
      }
    }

    /// First a larger stack for the compiled code, then the interpreter, whose stack is on the
    /// heap.
    private func enlargeStack() -> Bool {
      if jitStack == nil {
        jitStack = pcre2_jit_stack_create_8(64 * 1024, 4 * 1024 * 1024, nil)
        pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(jitStack))
        return true
      }
      guard options & UInt32(PCRE2_NO_JIT) == 0 else { return false }
      options |= UInt32(PCRE2_NO_JIT)
      return true
    }
  }
}
