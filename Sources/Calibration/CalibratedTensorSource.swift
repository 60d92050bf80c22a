import Foundation
import ModelFormats
import Models
import Synchronization

/// A source of rounded tensors, some rows of which were calibrated. Those lie in a temporary file
/// that goes when the source does.
final class CalibratedTensorSource: TensorSource {
  /// Calibrated bytes of a tensor: where they begin in it, and in the file.
  private struct Run {
    let tensorOffset: Int
    let fileOffset: Int
    let count: Int
  }

  private struct State {
    /// Of each tensor, ascending and apart.
    var runs: [String: [Run]] = [:]
    var end = 0
  }

  private let plain: QuantisedTensorSource
  private let file: FileHandle
  private let state = Mutex(State())

  /// - Parameter folder: for the temporary file.
  init(_ plain: QuantisedTensorSource, folder: URL) throws {
    self.plain = plain
    var template = Array(folder.appendingPathComponent("tally-calibration-XXXXXX").path.utf8CString)
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else {
      throw FormatError(
        .unreadable, file: folder.path,
        reason: "no temporary file can be made there: \(String(cString: strerror(errno)))")
    }
    unlink(template)
    file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
  }

  /// Keeps calibrated rows, which begin at byte `offset` of a tensor.
  func keep(_ bytes: [UInt8], of tensor: String, at offset: Int) throws {
    try state.withLock { state in
      try file.seek(toOffset: UInt64(state.end))
      try file.write(contentsOf: bytes)
      state.runs[tensor, default: []].append(
        Run(tensorOffset: offset, fileOffset: state.end, count: bytes.count))
      state.runs[tensor]?.sort { $0.tensorOffset < $1.tensorOffset }
      state.end += bytes.count
    }
  }

  var name: String { plain.name }

  var tensorNames: [String] { plain.tensorNames }

  /// As `TensorSource` says.
  func tensor(_ name: String) throws -> SourceTensor { try plain.tensor(name) }

  /// As `TensorSource` says.
  func read(_ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
    let runs = state.withLock { $0.runs[name] ?? [] }
    let wanted = offset..<offset + target.count
    var place = wanted.lowerBound
    func part(upTo end: Int) -> UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(rebasing: target[place - offset..<end - offset])
    }
    for run in runs {
      let own = (run.tensorOffset..<run.tensorOffset + run.count).clamped(to: wanted)
      guard !own.isEmpty else { continue }
      if own.lowerBound > place {
        try plain.read(name, offset: place, into: part(upTo: own.lowerBound))
      }
      place = own.lowerBound
      try copy(run.fileOffset + own.lowerBound - run.tensorOffset, into: part(upTo: own.upperBound))
      place = own.upperBound
    }
    if place < wanted.upperBound || target.isEmpty {
      try plain.read(name, offset: place, into: part(upTo: wanted.upperBound))
    }
  }

  private func copy(_ offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    while done < target.count {
      let count = pread(
        file.fileDescriptor, target.baseAddress.map { $0 + done }, target.count - done,
        off_t(offset + done))
      guard count > 0 else {
        throw FormatError(
          .unreadable, file: name, reason: "the calibrated weights cannot be read again")
      }
      done += count
    }
  }

  /// As `TensorSource` says.
  func release(_ name: String, upTo offset: Int) { plain.release(name, upTo: offset) }
}
