import Foundation
import ModelFormats
import Synchronization

/// The weights of a model whose chunks lie in a store, as on a worker.
///
/// A chunk is looked up when its bytes are first needed and let go when `release` passes its end,
/// so that no more than the chunks in use are mapped.
package final class ManifestTensorSource: TensorSource {
  /// What the chunks belong to.
  package let manifest: ModelManifest
  /// What errors call the source.
  package let name: String

  private struct Placed {
    let tensor: ModelManifest.Tensor
    /// Where each chunk begins in the tensor, ascending, and then the tensor's length.
    let starts: [Int]
  }

  private struct Key: Hashable {
    let tensor: ExactString
    let index: Int
  }

  private let placed: ExactDictionary<Placed>
  private let lookUp: @Sendable (_ sha256: String) throws -> ByteStorage
  private let digest: (@Sendable (UnsafeRawBufferPointer) -> String)?
  private let open = Mutex<[Key: ByteStorage]>([:])

  /// - Parameters:
  ///   - manifest: a checked manifest.
  ///   - name: what errors call the source.
  ///   - digest: gives the SHA-256 of bytes as lower-case hexadecimal; when given, every chunk is
  ///     checked before its first use. Without it the store is trusted to hold what it is asked
  ///     for.
  ///   - lookUp: the bytes of a chunk, mapped (`ByteStorage(mapping:)`) or in memory; throws when
  ///     the store lacks it.
  package init(
    _ manifest: ModelManifest, name: String,
    digest: (@Sendable (UnsafeRawBufferPointer) -> String)? = nil,
    lookUp: @escaping @Sendable (_ sha256: String) throws -> ByteStorage
  ) {
    self.manifest = manifest
    self.name = name
    self.lookUp = lookUp
    self.digest = digest
    let pairs = manifest.tensors.map { tensor in
      let starts = tensor.chunks.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1.bytes) }
      return (tensor.name, Placed(tensor: tensor, starts: starts))
    }
    placed = ExactDictionary(pairs, uniquingKeysWith: { first, _ in first })
  }

  package var tensorNames: [String] { manifest.tensors.map(\.name) }

  private func find(_ name: String) throws -> Placed {
    guard let found = placed[name] else {
      throw FormatError(.missing, file: self.name, reason: "there is no tensor \(quoted(name))")
    }
    return found
  }

  /// As `TensorSource` says.
  package func tensor(_ name: String) throws -> SourceTensor {
    let found = try find(name)
    return SourceTensor(
      type: found.tensor.type, shape: found.tensor.shape, byteCount: found.starts.last ?? 0)
  }

  /// As `TensorSource` says.
  package func read(
    _ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws {
    let found = try find(name)
    let count = found.starts.last ?? 0
    guard offset >= 0, offset <= count, target.count <= count - offset else {
      throw FormatError(
        .truncated, file: self.name,
        reason: "tensor \(quoted(name)) of \(count) bytes has no \(target.count) bytes "
          + "at its byte \(offset)")
    }
    var done = 0
    var index = max(0, (found.starts.firstIndex { $0 > offset } ?? 1) - 1)
    while done < target.count {
      let storage = try chunk(
        Key(tensor: ExactString(name), index: index), found.tensor.chunks[index])
      let begin = offset + done - found.starts[index]
      let length = min(storage.count - begin, target.count - done)
      storage.withUnsafeBytes(begin..<begin + length) { bytes in
        UnsafeMutableRawBufferPointer(rebasing: target[done..<done + length])
          .copyMemory(from: bytes)
      }
      done += length
      index += 1
    }
  }

  private func chunk(_ key: Key, _ chunk: ModelManifest.Chunk) throws -> ByteStorage {
    if let storage = open.withLock({ $0[key] }) { return storage }
    let storage = try lookUp(chunk.sha256)
    guard storage.count == chunk.bytes else {
      throw FormatError(
        .badLayout, file: name,
        reason: "chunk \(chunk.sha256) has \(storage.count) bytes instead of \(chunk.bytes)")
    }
    if let digest, storage.withUnsafeBytes(digest) != chunk.sha256 {
      throw FormatError(
        .malformed, file: name, reason: "chunk \(chunk.sha256) holds other bytes than its name says"
      )
    }
    open.withLock { $0[key] = storage }
    return storage
  }

  /// As `TensorSource` says.
  package func release(_ name: String, upTo offset: Int) {
    guard let found = placed[name] else { return }
    open.withLock { open in
      for index in found.tensor.chunks.indices where found.starts[index + 1] <= offset {
        open[Key(tensor: ExactString(name), index: index)] = nil
      }
    }
  }
}
