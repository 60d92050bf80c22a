import CKernels
import Kernels
import TestSupport
import Testing

@Suite struct SelfTestTests {
  @Test func everyVariantOfThisMachinePasses() throws {
    for seed in testSeeds(2) {
      for variant in variants {
        var test = try KernelSelfTest(compute(variant, threads: 2), seed: seed)
        try test.run()
      }
    }
  }

  /// One wrong bit in one operation is found and named.
  @Test func aWrongKernelIsFound() throws {
    func operation(_ spoil: (inout ck_table) -> Void) throws -> String? {
      let table = UnsafeMutablePointer<ck_table>.allocate(capacity: 1)
      defer { table.deallocate() }
      table.initialize(to: try #require(ck_table_of(CK_SCALAR_SOFT)).pointee)
      spoil(&table.pointee)
      let compute = try Compute(kernels: KernelSet(.scalarSoftware, table: table), threads: 1)
      do {
        var test = try KernelSelfTest(compute, seed: 1)
        try test.run()
        return nil
      } catch let difference as KernelSelfTest.Difference {
        return difference.operation
      }
    }
    #expect(try operation { _ in } == nil)
    #expect(
      try operation {
        $0.add = { a, b, count, y in
          for at in 0..<count { y?[at] = (a?[at] ?? 0) + (b?[at] ?? 0) }
          if count > 0, let value = y?[count - 1] { y?[count - 1] = value.nextUp }
        }
      } == "addition")
    #expect(
      try operation {
        $0.delta = { job, tokens in
          guard let job, let reference = ck_table_of(CK_SCALAR_SOFT) else { return }
          reference.pointee.delta?(job, tokens)
          job.pointee.out[0] = job.pointee.out[0].nextUp
        }
      } == "linear attention")
    #expect(
      try operation {
        $0.outer = { job, row, end, column, columnEnd in
          guard let job, let reference = ck_table_of(CK_SCALAR_SOFT) else { return }
          reference.pointee.outer?(job, row, end, column, columnEnd)
          job.pointee.y[row * job.pointee.y_stride + column] += 1
        }
      } == "a sum over tokens")
    #expect(
      try operation {
        $0.score_gradient = { s, scale, cap, count, p, d in
          guard let reference = ck_table_of(CK_SCALAR_SOFT) else { return }
          reference.pointee.score_gradient?(s, scale, cap, count, p, d)
          if count > 7, let value = d?[7] { d?[7] = value.nextUp }
        }
      } == "the gradient of attention")
    #expect(
      try operation {
        $0.softmax = { x, count, y in
          for at in 0..<count { y?[at] = x?[at] ?? 0 }
        }
      } == "softmax")
    #expect(
      try operation {
        $0.matmul.2 = { job, panel, end, row, rowEnd in
          guard let job, let reference = ck_table_of(CK_SCALAR_SOFT) else { return }
          reference.pointee.matmul.2?(job, panel, end, row, rowEnd)
          guard let y = job.pointee.y, row < rowEnd else { return }
          y[row * job.pointee.y_stride + panel * Int(CK_PANEL)] += 1
        }
      }?.contains("bf16 weights") == true)
  }
}
