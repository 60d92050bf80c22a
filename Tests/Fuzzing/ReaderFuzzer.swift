import Foundation
import ReaderProbes

/// The reader that `TALLY_FUZZ_READER` names.
private let probe: ReaderProbe = {
  let name = ProcessInfo.processInfo.environment["TALLY_FUZZ_READER"] ?? ""
  guard let probe = ReaderProbe(rawValue: name) else {
    fatalError("TALLY_FUZZ_READER names none of \(ReaderProbe.allCases.map(\.rawValue))")
  }
  return probe
}()

/// What libFuzzer calls with each input. An error that is not the reader's own ends the program,
/// which libFuzzer reports with the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = [UInt8](UnsafeBufferPointer(start: start, count: count))
  do {
    _ = try probe.accepts(bytes)
  } catch {
    fatalError("\(error)")
  }
  return 0
}
